"""Whether processes were kept from running, from what the kernel counted.

A busy machine and a quiet one are written here as numbers.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kvsim.process import run_delay
from kvsim.process.run_delay import RunDelays, ThreadTime, kept_from_running

S = 1_000_000_000


def at(second: float, *threads: ThreadTime) -> RunDelays:
    return RunDelays(int(second * S), {(7, number): each for number, each in enumerate(threads)})


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (ThreadTime(2 * S, S, "S"), ""),
        (ThreadTime(7 * S, S, "R"), ""),
        (ThreadTime(2 * S, int(1.9 * S), "S"), ""),
        (ThreadTime(2 * S, 4 * S, "S"), "waited 3 of 5s for a CPU"),
        (ThreadTime(2 * S, S, "R"), "waited 5 of 5s for a CPU"),
        (ThreadTime(2 * S, S, "T"), "stopped by a signal"),
        (ThreadTime(2 * S, S, "D"), "waited for a disk"),
        (ThreadTime(0, 0, "S"), "does not count"),
    ],
)
def test_a_thread_that_sleeps_runs_freely_and_one_that_waits_for_a_cpu_does_not(now, words):
    found = kept_from_running(at(10, ThreadTime(2 * S, S, "S")), at(15, now))
    assert found == words if not words else words in found


def test_one_thread_that_waits_is_enough():
    before = at(0, ThreadTime(S, 0, "S"), ThreadTime(S, 0, "S"))
    after = at(5, ThreadTime(S, 0, "S"), ThreadTime(S, 4 * S, "S"))
    assert "for a CPU" in kept_from_running(before, after)


def test_a_thread_that_is_new_counts_from_its_start():
    assert kept_from_running(at(0), at(5, ThreadTime(S, 0, "S"))) == ""


def test_a_process_that_is_gone_proves_nothing():
    assert kept_from_running(at(0, ThreadTime(S, 0, "S")), at(5)) != ""


def test_the_kernel_is_asked_about_every_thread():
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout
        child.stdout.readline()
        found = RunDelays.of([child.pid, os.getpid()])
        assert {pid for pid, _ in found.threads} == {child.pid, os.getpid()}
        assert found.threads[child.pid, child.pid].ran_ns > 0
        child.communicate()
    assert RunDelays.of([child.pid]).threads == {}


class Kernel:
    """What `RunDelays.of` finds, moment by moment; the last moment again and again."""

    def __init__(self, *moments: ThreadTime) -> None:
        self.moments = [at(5 + number, moment) for number, moment in enumerate(moments)]

    def of(self, pids: list[int]) -> RunDelays:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


def test_a_thread_that_was_woken_just_now_slept_before(monkeypatch):
    """The wait of this moment is short, and counted when it is over."""
    woken, ran = ThreadTime(S, 0, "R"), ThreadTime(S + 1000, 2000, "S")
    monkeypatch.setattr(RunDelays, "of", Kernel(woken, woken, ran).of)
    found = RunDelays.settled([7])
    assert kept_from_running(at(0, ThreadTime(S, 0, "S")), found) == ""


def test_a_thread_that_gets_no_cpu_is_kept_from_running(monkeypatch):
    monkeypatch.setattr(run_delay, "SETTLE_S", 0.01)
    monkeypatch.setattr(RunDelays, "of", Kernel(ThreadTime(S, 0, "R")).of)
    found = RunDelays.settled([7])
    assert "5 of 5s for a CPU" in kept_from_running(at(0, ThreadTime(S, 0, "S")), found)


def test_a_thread_that_waited_long_and_then_ran_was_kept_from_running(monkeypatch):
    waiting, ran = ThreadTime(S, 0, "R"), ThreadTime(S + 1000, 5 * S, "S")
    monkeypatch.setattr(RunDelays, "of", Kernel(waiting, ran).of)
    found = RunDelays.settled([7])
    assert "for a CPU" in kept_from_running(at(0, ThreadTime(S, 0, "S")), found)
