"""`kvsim shrink` makes numbers smaller, and tries as often as the failure rate needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields as fields_of

import kvsim.trials.shrink as shrinking
from kvsim.config.scenario_writer import text_of
from kvsim.config.yaml_nodes import Fields, read_text
from kvsim.runner.steps.workload import LoadStep
from kvsim.trials.scenario_edit import (
    LOAD_DEFAULTS,
    amount_totals,
    amounts_of,
    describe_reduction,
    with_amount,
)
from kvsim.trials.shrink import ShrinkTask, first_failure, runs_needed, shrink
from kvsim.trials.trial import Ending, Trial, TrialResult

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
    return {str(amount): amount.value for amount in amounts_of(tree, nodes)}


def test_every_number_that_can_be_smaller_is_found_defaults_included():
    assert numbers(TREE) == {
        "nodes": 3, "load clients": 12, "load keys": 10, "storm for": 4000, "sleep for": 1500,
    }  # fmt: skip
    assert numbers(read_text("scenario: s\nsteps: [{kill: leader}]\n", "", []), nodes=1) == {}


def test_the_defaults_of_loads_are_those_of_the_load_step():
    fields = {field.name: field.default for field in fields_of(LoadStep)}
    assert {name: fields[name] for name in LOAD_DEFAULTS} == LOAD_DEFAULTS


@given(st.sampled_from(amounts_of(TREE, 3)), st.integers(1, 3))
def test_one_number_changes_and_nothing_else(amount, value):
    smaller = with_amount(TREE, amount, value)
    again = read_text(text_of(smaller), "again.yaml", [])
    assert {**numbers(TREE), str(amount): value} == {str(amount): value, **numbers(again)}
    # A load's minima were written for more clients.
    assert ("minima" in text_of(again)) == (amount.verb != "load")


def test_a_reduction_is_described():
    smaller = with_amount(
        TREE, next(amount for amount in amounts_of(TREE, 3) if amount.name == "clients"), 1
    )
    assert (
        describe_reduction(amount_totals(TREE, 3), amount_totals(smaller, 3))
        == "load clients 12 → 1"
    )
    assert describe_reduction(amount_totals(TREE, 3), amount_totals(TREE, 3)) == ""


@pytest.mark.parametrize(
    ("failed", "runs", "tries"), [(10, 10, 1), (5, 10, 5), (3, 10, 9), (1, 10, 29), (1, 100, 30)]
)
def test_rarer_failures_are_tried_more_often(failed, runs, tries):
    assert runs_needed(failed, runs) == tries


@given(st.integers(1, 99))
def test_a_failure_is_missed_at_most_once_in_twenty_times(failed):
    tries = runs_needed(failed, 100)
    assert (1 - failed / 100) ** tries <= 0.05 + 1e-9 or tries == shrinking.RUNS_MAX


@pytest.fixture
def shrink_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A task whose runs are simulated: `fails(text, number)` decides whether the n-th run fails."""
    made = []

    def of(fails) -> ShrinkTask:
        def run_trial(trial: Trial, out: Path, limit_s: float) -> TrialResult:
            made.append(Path(trial.scenario).read_text())
            bad = fails(made[-1], len(made))
            return TrialResult(
                Ending.FAIL if bad else Ending.PASS, 0.0, failed_at="check x" if bad else ""
            )

        monkeypatch.setattr(shrinking, "run_trial", run_trial)
        return ShrinkTask(TREE, Trial("", 1), tmp_path, None, 1.0, nodes=3)

    of.made = made
    return of


def clients(text: str) -> int:
    tree = read_text(text, "", [])
    return next(
        (amount.value for amount in amounts_of(tree, 3) if amount.name == "clients"),
        1 if "load" in text else 0,
    )


def test_steps_and_numbers_are_reduced_while_it_still_fails(shrink_task):
    def fails(text: str, number: int) -> bool:
        return "start: busy" in text and clients(text) >= 3 and "get" in text

    task = shrink_task(fails)
    failure, tries = first_failure(task)
    assert tries == 1 and len(shrink_task.made) == 3
    found = shrink(task, failure)
    left = text_of(found.scenario)
    assert clients(left) == 3 and found.failed == found.runs
    assert "storm:" not in left and "kill" not in left and "get" in left
    assert describe_reduction(found.before, found.after).startswith(
        "nodes 3 → 1, load clients 12 → 3, load keys 10 → 1"
    )


def test_the_rate_of_a_run_that_fails_sometimes_is_measured_first(shrink_task):
    failure, tries = first_failure(shrink_task(lambda text, number: number % 2 == 0))
    assert failure is not None and tries == 5
    assert len(shrink_task.made) == 10


def test_a_run_that_never_fails_again_is_no_failure(shrink_task):
    failure, _ = first_failure(shrink_task(lambda text, number: False))
    assert failure is None
