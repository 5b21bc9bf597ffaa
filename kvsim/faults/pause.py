"""Pause: SIGSTOP to every process of the nodes. Healing is SIGCONT, an answered ping and no thread that is still stopped.

Receipt: every thread of every process of the node is in state T, and a ping is not answered.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsim.faults.fault import Healing, Receipt
from kvsim.faults.subject import Subject
from kvsim.limits import Own
from kvsim.waiting import Deadline, TimedOut, wait_until

STOP_WITHIN_S = Own(2.0)
PING_TIMEOUT_S = 0.2
HEAL_WITHIN_S = Own(5.0)


@dataclass(frozen=True)
class Pause:
    """Nodes whose threads all stand still."""

    subjects: tuple[Subject, ...]
    kind: str = "pause"

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(subject.name for subject in self.subjects)

    def plan(self) -> Mapping[str, Any]:
        return {}

    def begin(self) -> Sequence[Receipt]:
        for subject in self.subjects:
            _signal(subject, signal.SIGSTOP)
        return [_receipt(subject) for subject in self.subjects]

    def end(self) -> Sequence[Receipt]:
        return ()

    def heal(self) -> Sequence[Healing]:
        for subject in self.subjects:
            _signal(subject, signal.SIGCONT)
        return [_healing(subject) for subject in self.subjects]


def _signal(subject: Subject, number: int) -> None:
    for process in subject.tree():
        process.signal(number)


def _receipt(subject: Subject) -> Receipt:
    def still() -> bool:
        tree = subject.tree()
        _signal_running(tree)  # a child that was being forked when the signal came
        return bool(tree) and all(process.stopped() for process in tree)

    try:
        deadline = Deadline.after(subject.limits.of(STOP_WITHIN_S))
        wait_until(still, deadline, f"every thread of {subject.name} to stand still")
        stopped = True
    except TimedOut:
        stopped = False
    seen = subject.ping(PING_TIMEOUT_S)
    threads = "every thread is stopped" if stopped else "a thread still runs"
    says = f"{subject.name}: {threads}; a ping {f'was not answered ({seen})' if seen else 'was answered'}"
    evidence = {
        "pids": [process.pid for process in subject.tree()],
        "stopped": stopped,
        "ping": seen or "answered",
    }
    return Receipt(subject.name, stopped and seen is not None, says, evidence)


def _signal_running(tree: Sequence) -> None:
    for process in tree:
        if not process.stopped():
            process.signal(signal.SIGSTOP)


def _healing(subject: Subject) -> Healing:
    seen: list[str | None] = ["nothing"]

    def answers() -> bool:
        seen[0] = (
            "a thread is still stopped" if any(one.stopped() for one in subject.tree()) else subject.ping(1.0)
        )
        return seen[0] is None

    if subject.ended() is not None:
        return Healing(subject.name, False, f"{subject.name} {subject.ended()} while it was paused")
    try:
        wait_until(answers, Deadline.after(subject.limits.of(HEAL_WITHIN_S)), f"{subject.name} to answer")
    except TimedOut:
        return Healing(subject.name, False, f"{subject.name} was continued, but {seen[0]}")
    return Healing(subject.name, True, f"{subject.name} goes on and answers")
