"""A load whose process is killed is judged as far as it got."""

from __future__ import annotations

import os
import signal

import pytest

from kvsim.checks.consistency.check import check
from kvsim.checks.verdict import Verdict
from kvsim.errors import RunInvalid
from kvsim.history.binary_file import load
from kvsim.history.operations import UNKNOWN
from kvsim.run_directory import GROWING, RunDirectory
from kvsim.waiting import Deadline, wait_until
from kvsim.workload.worker_handle import LoadProcess

GUARANTEES = {"writes": "acked_by_leader", "leader_reads": "linearizable"}


def killed(plan, made: int) -> None:
    """Run the load and kill it when it has made that many operations."""
    counts = [0]
    process = LoadProcess(plan, counts.append)
    try:
        wait_until(lambda: counts[-1] >= made, Deadline.after(180), f"{made} operations")
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(RunInvalid, match="load w did not finish"):
            process.stop()
    finally:
        process.close()


def test_what_it_recorded_is_there_and_consistent(serve, planned, tmp_path):
    (tmp_path / "loads").mkdir()
    plan = planned(serve(), out=tmp_path / "loads" / "w.history", stop_after=None)
    killed(plan, 500)
    (path,) = RunDirectory(tmp_path).loads
    assert path.name == f"w.history{GROWING}"
    history = load(path)
    operations = history.operations
    assert len(operations) >= 500
    # Each client had at most one request under way.
    assert list(operations.outcome).count(UNKNOWN) <= plan.clients
    assert check(history, GUARANTEES).verdict is Verdict.PASS


def test_a_load_that_ends_leaves_the_whole_history_only(serve, planned, tmp_path):
    (tmp_path / "loads").mkdir()
    plan = planned(serve(), out=tmp_path / "loads" / "w.history")
    process = LoadProcess(plan)
    process.wait(180)
    (path,) = RunDirectory(tmp_path).loads
    assert path == plan.out and len(load(path).operations) == 400
    assert [entry.name for entry in path.parent.iterdir()] == ["w.history"]
