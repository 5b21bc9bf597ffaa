"""`kvsim shrink` makes numbers smaller, too, and tries often enough for how often a run fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvsim.repeat.shrink as shrinking
from kvsim.config.scenario_text import text_of
from kvsim.config.yaml_tree import Fields, read_text
from kvsim.repeat.amounts import amounts_of, sums, told, with_amount
from kvsim.repeat.shrink import Shrinking, first_failure, runs_for, shrink
from kvsim.trials.trial import Ending, Result, Trial

TEXT = """
scenario: s
cluster: cluster.yaml
steps:
  - load: {start: busy, clients: 12, minima: {total: 100}}
  - group: storm
    steps:
      - storm: {for: 4s}
      - fault: {kill: leader, do: [{sleep: {for: 1.5s, why: let it last}}]}
      - get: {at: leader, key: k}
  - load: {stop: busy}
"""
TREE = read_text(TEXT, "s.yaml", [])


def numbers(tree: Fields, nodes: int = 3) -> dict[str, int]:
    return {str(one): one.value for one in amounts_of(tree, nodes)}


def test_every_number_that_can_be_smaller_those_that_go_without_saying_too():
    assert numbers(TREE) == {
        "nodes": 3, "load clients": 12, "load keys": 10, "storm for": 4000, "sleep for": 1500,
    }  # fmt: skip
    assert numbers(read_text("scenario: s\nsteps: [{kill: leader}]\n", "", []), nodes=1) == {}


@given(st.sampled_from(amounts_of(TREE, 3)), st.integers(1, 3))
def test_one_number_is_changed_and_nothing_else(amount, value):
    smaller = with_amount(TREE, amount, value)
    again = read_text(text_of(smaller), "again.yaml", [])
    assert {**numbers(TREE), str(amount): value} == {str(amount): value, **numbers(again)}
    assert ("minima" in text_of(again)) == (amount.verb != "load")  # they were meant for more clients


def test_what_became_smaller_is_told():
    smaller = with_amount(TREE, next(one for one in amounts_of(TREE, 3) if one.name == "clients"), 1)
    assert told(sums(TREE, 3), sums(smaller, 3)) == "load clients 12 → 1"
    assert told(sums(TREE, 3), sums(TREE, 3)) == ""


@pytest.mark.parametrize(
    ("failed", "runs", "tries"), [(10, 10, 1), (5, 10, 5), (3, 10, 9), (1, 10, 29), (1, 100, 30)]
)
def test_rarer_failures_are_tried_more_often(failed, runs, tries):
    assert runs_for(failed, runs) == tries


@given(st.integers(1, 99))
def test_a_failure_of_that_rate_is_missed_once_in_twenty_times_at_most(failed):
    tries = runs_for(failed, 100)
    assert (1 - failed / 100) ** tries <= 0.05 + 1e-9 or tries == shrinking.RUNS_MAX


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs that are made up: `fails(text, number)` says whether the n-th one does."""
    made = []

    def of(fails) -> Shrinking:
        def make(trial: Trial, out: Path, limit_s: float) -> Result:
            made.append(Path(trial.scenario).read_text())
            bad = fails(made[-1], len(made))
            return Result(Ending.FAIL if bad else Ending.PASS, 0.0, place="check x" if bad else "")

        monkeypatch.setattr(shrinking, "make", make)
        return Shrinking(TREE, Trial("", 1), tmp_path, None, 1.0, nodes=3)

    of.made = made
    return of


def clients(text: str) -> int:
    tree = read_text(text, "", [])
    return next(
        (one.value for one in amounts_of(tree, 3) if one.name == "clients"), 1 if "load" in text else 0
    )


def test_steps_go_and_numbers_go_down_as_far_as_it_still_fails(played):
    def fails(text: str, number: int) -> bool:
        return "start: busy" in text and clients(text) >= 3 and "get" in text

    task = played(fails)
    failure, tries = first_failure(task)
    assert tries == 1 and len(played.made) == 3
    found = shrink(task, failure)
    left = text_of(found.scenario)
    assert clients(left) == 3 and found.failed == found.runs
    assert "storm:" not in left and "kill" not in left and "get" in left
    assert told(found.before, found.after).startswith("nodes 3 → 1, load clients 12 → 3, load keys 10 → 1")


def test_a_run_that_fails_now_and_then_is_measured_first(played):
    failure, tries = first_failure(played(lambda text, number: number % 2 == 0))
    assert failure is not None and tries == 5  # five of ten
    assert len(played.made) == 10


def test_a_run_that_fails_never_again_is_no_failure(played):
    failure, _ = first_failure(played(lambda text, number: False))
    assert failure is None
