"""Runs of kvsim in processes of their own, several at once: a crash of one is one result, not the end. Judges nothing.

Plain polling from the main thread, because processes are started from there only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.process.child import Child, Ended
from kvsim.process.spawn import Plan, spawn
from kvsim.waiting import Deadline

PAUSE_S = 0.02
STOP_GRACE_S = 10.0


@dataclass(frozen=True)
class Job:
    """One call of kvsim: its words after `kvsim`."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """How a call went. `ended` is None when it was not over in time and was ended."""

    job: Job
    ended: Ended | None
    out: str
    err: str
    took_s: float


@dataclass(frozen=True)
class _Running:
    job: Job
    child: Child
    deadline: Deadline


def run_all(
    jobs: Sequence[Job], folder: Path, *, at_once: int, limit_s: float, on_done: Callable[[Done], None]
) -> None:
    """Run all jobs, at most `at_once` at a time; `on_done` is called for each in the order in which they end.

    Their output goes to files in `folder`. Whatever happens, none is left running.
    """
    waiting = list(reversed(jobs))
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(_start(waiting.pop(), folder, limit_s))
            over = [one for one in running if one.child.poll() or one.deadline.passed()]
            for one in over:
                ended = one.child.poll()
                if ended is None:
                    _end(one.child)
                running.remove(one)
                on_done(_done(one, ended))
            if not over:
                time.sleep(PAUSE_S)
    finally:
        for one in running:
            _signal(one.child, signal.SIGTERM)
        for one in running:
            _end(one.child)


def _start(job: Job, folder: Path, limit_s: float) -> _Running:
    plan = Plan(
        argv=(sys.executable, "-m", "kvsim", *job.words),
        cwd=Path.cwd(),
        env=os.environ,
        stdout=folder / f"{job.name}.out",
        stderr=folder / f"{job.name}.err",
    )
    return _Running(job, spawn(plan), Deadline.after(limit_s))


def _done(one: _Running, ended: Ended | None) -> Done:
    took_s = time.monotonic() - one.child.started_at
    return Done(one.job, ended, _text(one.child.stdout), _text(one.child.stderr), took_s)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _end(child: Child) -> None:
    """Once in order, so that a run stops its nodes; then by force, which its watchdog sees to."""
    _signal(child, signal.SIGTERM)
    if child.wait(Deadline.after(STOP_GRACE_S)) is None:
        _signal(child, signal.SIGKILL)
        child.wait(Deadline.after(STOP_GRACE_S))


def _signal(child: Child, number: signal.Signals) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)
