"""`kvsim sweep`: a variant for each step and way, and a grid of what became of them."""

from __future__ import annotations

import json

import pytest

from kvsim.config.scenario_file import load_scenario
from kvsim.config.scenario_text import text_of
from kvsim.config.yaml_tree import read_text
from kvsim.repeat.sweep import BREAKS, cells_of, grid, rows_of
from kvsim.trials.trial import Ending, Result

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


def test_rows_are_the_steps_that_stand_in_groups_or_outside_all():
    assert rows_of(TREE) == {"1": (0,), "2.1": (1, 0), "2.2": (1, 1)}


def test_every_variant_is_a_scenario_with_its_break_behind_its_step(tmp_path, root):
    (tmp_path / "cluster.yaml").write_text(
        (root / "cluster.yaml")
        .read_text()
        .replace("program: kvstore", f"program: {root}/nodes/kvstore/node.yaml")
    )
    cells = cells_of(TREE, list(BREAKS))
    assert len({cell.name for cell in cells}) == 12
    for cell in cells:
        (tmp_path / "v.yaml").write_text(text_of(cell.scenario))
        load_scenario(tmp_path / "v.yaml")
    [middle] = [cell for cell in cells if cell.name == "2.1-kill-leader"]
    (tmp_path / "v.yaml").write_text(text_of(middle.scenario))
    groups = load_scenario(tmp_path / "v.yaml").groups
    assert [step.verb for step in groups[1].steps] == ["fault", "kill", "start", "get"]


def test_the_grid_has_a_letter_for_every_run():
    results = {
        "1-kill-leader": [Result(Ending.PASS, 1.0), Result(Ending.FAIL, 1.0)],
        "2.2-kill-leader": [Result(Ending.ERROR, 1.0)],
    }
    lines = grid(TREE, ["kill-leader"], results).splitlines()
    assert lines[0].split() == ["after", "step", "kill-leader"]
    assert [line.split()[:2] for line in lines[1:4]] == [["1", ".F"], ["2.1", "{fault:"], ["2.2", "e"]]
    assert lines[-1] == ". pass   F fail"


@pytest.mark.slow
def test_a_store_that_forgets_is_shown_where_it_forgets(project, root):
    words = ("sweep", "scenarios/roles.yaml", "--how", "kill-leader", "-j", 2, "--seed", 5, "--out", "swept")
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
    said = json.loads(project.run(*words).stdout)
    assert said["exit"] == 1
    assert said["cells"]["1.1-kill-leader"] == ["fail"]  # the value is gone before it is read
    assert (project.folder / "forgets/variants/1.1-kill-leader.yaml").exists()
