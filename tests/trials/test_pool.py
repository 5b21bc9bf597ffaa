"""Trials run several at once; each gives one result, and none outlives its caller."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.process.process_tree import Snapshot
from kvsim.trials.pool import run_all
from kvsim.trials.trial import Ending, Trial, TrialResult
from kvsim.waiting import Deadline, wait_until


def run_trials(trials: list[Trial], out, **how) -> dict[str, TrialResult]:
    found: dict[str, TrialResult] = {}

    def on_result(trial: Trial, result: TrialResult) -> bool:
        found[trial.scenario] = result
        return False

    assert run_all(trials, 2, on_result, out=out, **{"limit_s": 30, **how})
    return found


def test_a_pass_and_a_mistake_are_two_results(tmp_path, root):
    roles, gone = Trial(str(root / "scenarios/roles.yaml"), 7), Trial("gone.yaml", 7)
    found = run_trials([roles, gone], tmp_path)
    assert found[roles.scenario].ending is Ending.PASS
    assert found["gone.yaml"].ending is Ending.ERROR
    assert found["gone.yaml"].exit == 4


def test_a_trial_beyond_its_time_limit_is_ended(tmp_path, root):
    late = Trial(str(root / "scenarios/roles.yaml"), 7)
    assert run_trials([late], tmp_path, limit_s=0)[late.scenario].ending is Ending.OVERTIME


def test_running_trials_are_ended_when_the_caller_fails(tmp_path, root):
    def fail(trial: Trial, result: TrialResult) -> bool:
        raise KeyError(trial.scenario)

    trials = [Trial("gone.yaml", 1), Trial(str(root / "scenarios/survives.yaml"), 1)]
    with pytest.raises(KeyError, match="gone"):
        run_all(trials, 2, fail, out=tmp_path, limit_s=30)
    wait_until(
        lambda: not _processes_in(tmp_path),
        Deadline.after(180),
        "its nodes and its watchdog to be gone",
    )


def _processes_in(folder: Path) -> bool:
    return any(str(folder).encode() in _cmdline(pid) for pid in Snapshot().table)


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
