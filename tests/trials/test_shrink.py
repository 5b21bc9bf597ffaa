"""`kvsim shrink`: what can be left out of a scenario, and the smallest one that still fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.cli.loading import load_scenario
from kvsim.config.scenario_writer import text_of, with_values
from kvsim.config.yaml_nodes import read_text
from kvsim.trials.scenario_edit import paths_of, without
from kvsim.trials.shrink import same_failure
from kvsim.trials.trial import Ending, TrialResult

ROOT = Path(__file__).parents[2]
TEXT = """
scenario: s
cluster: cluster.yaml
vars: {a: random_key, b: random_value}
steps:
  - put: {at: leader, key: "{a}", value: "{b}"}
  - group: "It breaks: twice"
    steps:
      - fault: {kill: leader, do: [{get: {at: n2, key: "{a}"}}, {get: {at: n3, key: on}}]}
      - get: {at: leader, key: "{a}"}
"""
TREE = read_text(TEXT, "s.yaml", [])


def again(tree):
    problems = []
    found = read_text(text_of(tree), "again.yaml", problems)
    assert not problems
    return found


def test_every_step_has_a_path_also_inside_others():
    assert paths_of(TREE) == [(0,), (1,), (1, 0), (1, 0, 0), (1, 0, 1), (1, 1)]
    assert paths_of(again(TREE)) == paths_of(TREE)


def test_empty_holders_and_unused_variables_are_left_out_too():
    left = text_of(without(TREE, frozenset({(0,), (1, 0, 0), (1, 0, 1)})))
    assert "fault" not in left and "random_value" not in left
    assert 'group: "It breaks: twice"' in left and "random_key" in left
    assert paths_of(without(TREE, frozenset({(0,), (1,)}))) == []


@given(st.sets(st.sampled_from(paths_of(TREE))))
def test_the_rest_is_always_yaml_that_reads_the_same(left_out):
    rest = without(TREE, frozenset(left_out))
    assert paths_of(again(rest)) == paths_of(rest)
    assert len(paths_of(rest)) <= len(paths_of(TREE)) - len(left_out)


def test_texts_stay_unchanged():
    left = text_of(with_values(TREE, cluster="../no: where", title=""))
    assert 'cluster: "../no: where"' in left
    assert again(with_values(TREE, cluster="on")).get("cluster").text == "on"
    assert "key: on" in left


def test_the_same_failure_may_be_at_another_step():
    one = TrialResult(Ending.FAIL, 1.0, failed_at="step 4.2 (get at leader)")
    assert same_failure(one, TrialResult(Ending.FAIL, 2.0, failed_at="step 1.3 (get at leader)"))
    assert not same_failure(
        one, TrialResult(Ending.FAIL, 1.0, failed_at="step 4.2 (put at leader)")
    )
    assert not same_failure(
        one, TrialResult(Ending.UNKNOWN, 1.0, failed_at="step 4.2 (get at leader)")
    )


@pytest.mark.slow
def test_a_planted_bug_shrinks_to_what_shows_it(project, root):
    broken = ("--program", root / "nodes/broken", "-o", "bug=deletes_keep_the_key")
    project.run("run", "scenarios/roles.yaml", *broken, "--seed", 3)
    done = project.run(
        "shrink", "runs/latest", "--out", "small.yaml", "--reference", root / "nodes/kvstore"
    )
    assert done.returncode == 0, done.stderr
    verbs = [step.verb for step in load_scenario(project.folder / "small.yaml").steps]
    assert verbs == ["put", "delete", "get"]
    assert project.run("run", "small.yaml", *broken, "--seed", 3).returncode == 1
    assert project.run("run", "small.yaml", "--seed", 3).returncode == 0
    assert (
        project.run("shrink", "runs/latest", "--out", "small.yaml").returncode == 4
    )  # it is there already


@pytest.mark.slow
def test_a_run_that_does_not_fail_again_is_reported(project):
    project.run("run", "scenarios/roles.yaml", "--seed", 3)
    done = project.run("shrink", "runs/latest", "--tries", 1)
    assert done.returncode == 4
    assert "did not fail" in done.stderr


@pytest.mark.slow
def test_a_cell_with_too_many_clients_shrinks_to_a_scenario(project, root):
    (project.folder / "scenarios/big.yaml").write_text(
        f"scenario: big\ncluster: {root}/clusters/replicated-async.yaml\n"
        "matrix: {clients: [2, 4]}\nsteps:\n"
        '  - load: {start: busy, clients: "{clients}", keys: 6, minima: {total: 20}}\n'
        "  - get: {at: leader, key: k}\n  - sleep: {for: 500ms, why: let it work}\n"
        "  - load: {stop: busy}\n"
    )
    broken = (
        "--program",
        root / "nodes/broken/async.yaml",
        "-o",
        "bug=mixes_up_replies",
        "--seed",
        3,
    )
    project.run("run", "scenarios/big.yaml", "--cell", "clients=4", *broken)
    done = project.run(
        "shrink",
        "runs/latest",
        "--out",
        "small.yaml",
        "--reference",
        root / "nodes/kvstore/async.yaml",
    )
    assert done.returncode == 0, done.stderr
    small = load_scenario(project.folder / "small.yaml")
    assert small.cell == {} and "get" not in [step.verb for step in small.steps]
    assert small.steps[0].clients < 4 and small.steps[0].keys < 6
    # The bug is a race: the scenario fails most times, not every time.
    assert any(project.run("run", "small.yaml", *broken).returncode == 1 for _ in range(5))
