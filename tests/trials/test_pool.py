"""Trials run several at once; one that comes to nothing is one result, and none outlives its caller."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.process.tree import Snapshot
from kvsim.trials.pool import run_all
from kvsim.trials.trial import Ending, Result, Trial
from kvsim.waiting import Deadline, wait_until


def made(trials: list[Trial], out, **how) -> dict[str, Result]:
    found: dict[str, Result] = {}

    def report(trial: Trial, result: Result) -> bool:
        found[trial.scenario] = result
        return False

    assert run_all(trials, 2, report, out=out, **{"limit_s": 30, **how})
    return found


def test_a_run_and_a_mistake_are_two_results(tmp_path, root):
    roles, gone = Trial(str(root / "scenarios/roles.yaml"), 7), Trial("gone.yaml", 7)
    found = made([roles, gone], tmp_path)
    assert found[roles.scenario].ending is Ending.PASS
    assert found["gone.yaml"].ending is Ending.ERROR
    assert found["gone.yaml"].exit == 4


def test_a_trial_that_is_not_over_in_time_is_ended(tmp_path, root):
    late = Trial(str(root / "scenarios/roles.yaml"), 7)
    assert made([late], tmp_path, limit_s=0)[late.scenario].ending is Ending.OVERTIME


def test_what_is_under_way_is_ended_when_the_caller_gives_up(tmp_path, root):
    def give_up(trial: Trial, result: Result) -> bool:
        raise KeyError(trial.scenario)

    trials = [Trial("gone.yaml", 1), Trial(str(root / "scenarios/survives.yaml"), 1)]
    with pytest.raises(KeyError, match="gone"):
        run_all(trials, 2, give_up, out=tmp_path, limit_s=30)
    wait_until(lambda: not _at_work_in(tmp_path), Deadline.after(20), "its nodes and its watchdog to be gone")


def _at_work_in(folder: Path) -> bool:
    return any(str(folder).encode() in _cmdline(pid) for pid in Snapshot().table)


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
