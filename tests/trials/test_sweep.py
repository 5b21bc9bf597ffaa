"""`kvsim sweep`: a variant for each step and disruption, and a grid of endings."""

from __future__ import annotations

import json

import pytest

from kvsim.cli.loading import load_scenario
from kvsim.config.scenario_writer import text_of
from kvsim.config.yaml_nodes import read_text
from kvsim.trials.sweep import DISRUPTIONS, grid, rows_of, variants_of
from kvsim.trials.trial import Ending, TrialResult

TREE = read_text(
    """
scenario: s
cluster: cluster.yaml
steps:
  - put: {at: leader, key: a, value: b}
  - group: two
    steps:
      - fault: {kill: leader, do: [{get: {at: n2, key: a}}]}
      - get: {at: leader, key: a}
""",
    "s.yaml",
    [],
)


def test_rows_are_the_steps_in_groups_or_outside_of_all():
    assert rows_of(TREE) == {"1": (0,), "2.1": (1, 0), "2.2": (1, 1)}


def test_every_variant_is_a_scenario_with_its_disruption_after_its_step(tmp_path, root):
    (tmp_path / "cluster.yaml").write_text(
        (root / "cluster.yaml")
        .read_text()
        .replace("program: kvstore", f"program: {root}/nodes/kvstore/node.yaml")
    )
    variants = variants_of(TREE, list(DISRUPTIONS))
    assert len({variant.name for variant in variants}) == 12
    for variant in variants:
        (tmp_path / "v.yaml").write_text(text_of(variant.scenario))
        load_scenario(tmp_path / "v.yaml")
    [middle] = [variant for variant in variants if variant.name == "2.1-kill-leader"]
    (tmp_path / "v.yaml").write_text(text_of(middle.scenario))
    groups = load_scenario(tmp_path / "v.yaml").groups
    assert [step.verb for step in groups[1].steps] == ["fault", "kill", "start", "get"]


def test_the_grid_has_a_letter_for_each_run():
    results = {
        "1-kill-leader": [TrialResult(Ending.PASS, 1.0), TrialResult(Ending.FAIL, 1.0)],
        "2.2-kill-leader": [TrialResult(Ending.ERROR, 1.0)],
    }
    lines = grid(TREE, ["kill-leader"], results).splitlines()
    assert lines[0].split() == ["after", "step", "kill-leader"]
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["1", ".F"],
        ["2.1", "{fault:"],
        ["2.2", "e"],
    ]
    assert lines[-1] == ". pass   F fail"


@pytest.mark.slow
def test_the_grid_shows_where_a_store_forgets(project, root):
    words = (
        "sweep",
        "scenarios/roles.yaml",
        "--how",
        "kill-leader",
        "-j",
        2,
        "--seed",
        5,
        "--out",
        "swept",
    )
    good = project.run(*words)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "F fail" not in good.stdout
    words = (
        *words[:-1],
        "forgets",
        "--program",
        root / "nodes/broken",
        "-o",
        "bug=forgets_on_restart",
        "--json",
    )
    report = json.loads(project.run(*words).stdout)
    assert report["exit"] == 1
    assert report["variants"]["1.1-kill-leader"] == ["fail"]
    assert (project.folder / "forgets/variants/1.1-kill-leader.yaml").exists()
