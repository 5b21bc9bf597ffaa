"""`kvsim shrink`: what can be left out of a scenario, and the smallest one that still fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.scenario_file import load_scenario
from kvsim.config.scenario_text import text_of, with_values
from kvsim.config.yaml_tree import read_text
from kvsim.repeat.shrink import same_failure
from kvsim.repeat.smaller import paths_of, without
from kvsim.trials.trial import Ending, Result

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


def test_every_step_has_a_path_those_inside_others_too():
    assert paths_of(TREE) == [(0,), (1,), (1, 0), (1, 0, 0), (1, 0, 1), (1, 1)]
    assert paths_of(again(TREE)) == paths_of(TREE)


def test_what_holds_nothing_any_more_goes_too_and_so_do_unused_variables():
    left = text_of(without(TREE, frozenset({(0,), (1, 0, 0), (1, 0, 1)})))
    assert "fault" not in left and "random_value" not in left
    assert 'group: "It breaks: twice"' in left and "random_key" in left
    assert paths_of(without(TREE, frozenset({(0,), (1,)}))) == []


@given(st.sets(st.sampled_from(paths_of(TREE))))
def test_whatever_is_left_out_the_rest_is_yaml_that_reads_the_same(left_out):
    rest = without(TREE, frozenset(left_out))
    assert paths_of(again(rest)) == paths_of(rest)
    assert len(paths_of(rest)) <= len(paths_of(TREE)) - len(left_out)


def test_texts_stay_what_they_are():
    left = text_of(with_values(TREE, cluster="../no: where", title=""))
    assert 'cluster: "../no: where"' in left
    assert again(with_values(TREE, cluster="on")).get("cluster").text == "on"
    assert "key: on" in left


def test_the_same_failure_may_stand_at_another_step():
    one = Result(Ending.FAIL, 1.0, place="step 4.2 (get at leader)")
    assert same_failure(one, Result(Ending.FAIL, 2.0, place="step 1.3 (get at leader)"))
    assert not same_failure(one, Result(Ending.FAIL, 1.0, place="step 4.2 (put at leader)"))
    assert not same_failure(one, Result(Ending.UNKNOWN, 1.0, place="step 4.2 (get at leader)"))


@pytest.mark.slow
def test_a_planted_bug_shrinks_to_what_shows_it(project, root):
    broken = ("--program", root / "nodes/broken", "-o", "bug=deletes_keep_the_key")
    project.run("run", "scenarios/roles.yaml", *broken, "--seed", 3, "--out", "runs")
    done = project.run("shrink", "runs/latest", "--out", "small.yaml", "--reference", root / "nodes/kvstore")
    assert done.returncode == 0, done.stderr
    verbs = [step.verb for step in load_scenario(project.folder / "small.yaml").steps]
    assert verbs == ["put", "delete", "get"]
    assert project.run("run", "small.yaml", *broken, "--seed", 3).returncode == 1
    assert project.run("run", "small.yaml", "--seed", 3).returncode == 0
    assert project.run("shrink", "runs/latest", "--out", "small.yaml").returncode == 4  # it is there already


@pytest.mark.slow
def test_a_run_that_does_not_fail_again_is_said(project):
    project.run("run", "scenarios/roles.yaml", "--seed", 3, "--out", "runs")
    done = project.run("shrink", "runs/latest", "--tries", 1)
    assert done.returncode == 4
    assert "did not fail" in done.stderr


@pytest.mark.slow
def test_a_cell_with_too_many_clients_shrinks_to_a_scenario_of_its_own(project, root):
    (project.folder / "scenarios/big.yaml").write_text(
        f"scenario: big\ncluster: {root}/clusters/replicated-async.yaml\nmatrix: {{clients: [2, 4]}}\nsteps:\n"
        '  - load: {start: busy, clients: "{clients}", keys: 6, minima: {total: 20}}\n'
        "  - get: {at: leader, key: k}\n  - sleep: {for: 500ms, why: let it work}\n  - load: {stop: busy}\n"
    )
    broken = ("--program", root / "nodes/broken/async.yaml", "-o", "bug=mixes_up_replies", "--seed", 3)
    project.run("run", "scenarios/big.yaml", "--cell", "clients=4", *broken, "--out", "runs")
    done = project.run(
        "shrink", "runs/latest", "--out", "small.yaml", "--reference", root / "nodes/kvstore/async.yaml"
    )
    assert done.returncode == 0, done.stderr
    small = load_scenario(project.folder / "small.yaml")
    assert small.cell == {} and "get" not in [step.verb for step in small.steps]
    assert small.steps[0].fields["clients"] < 4 and small.steps[0].fields["keys"] < 6
    assert project.run("run", "small.yaml", *broken).returncode == 1
