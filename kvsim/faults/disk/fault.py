"""Disk: what nodes have under their data directories is full, failing or slow. Healing takes that away and starts what ended of it.

A node may end of a disk that is full or failing: it must not go on as if it had stored what it has not. Receipt: the calls that were
refused or held, counted where they were made; for a program that no library reaches, its own word on the limit it met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kvsim.faults.disk.file_limit import FileLimit
from kvsim.faults.disk.preloaded import Preloaded
from kvsim.faults.disk.rule import Rule
from kvsim.faults.disk.unreached import Unreached
from kvsim.faults.down import started_again
from kvsim.faults.fault import FaultFailed, Healing, Receipt
from kvsim.faults.preload.control import Control
from kvsim.faults.preload.page import DISK
from kvsim.faults.subject import Subject
from kvsim.limits import Own
from kvsim.waiting import Deadline, TimedOut, wait_until

PING_TIMEOUT_S = 1.0
SETTLES_WITHIN_S = Own(10.0)


class Way(Protocol):
    """One way to break the disk of one node. `begin` may raise FaultFailed; `after` looks whether `end` has undone it."""

    def begin(self) -> None: ...

    def receipt(self) -> Receipt: ...

    def end(self) -> None: ...

    def after(self) -> tuple[bool, str]: ...


@dataclass(frozen=True)
class Disk:
    """`ways` are those that have begun, by node."""

    subjects: tuple[Subject, ...]
    rule: Rule
    control: Control
    kind: str = "disk"
    ways: dict[str, Way] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(subject.name for subject in self.subjects)

    def plan(self) -> Mapping[str, Any]:
        return self.rule.settings()

    def begin(self) -> Sequence[Receipt]:
        for subject in self.subjects:
            if self.control.pages[subject.name].is_on(DISK):
                raise FaultFailed(f"the disk of {subject.name} is broken by a fault around this one already")
            way = self._way(subject)
            self.ways[subject.name] = way
            way.begin()
            if self.rule.may_end_nodes:
                subject.tolerate(f"its disk was {self.rule.how}")
        return ()

    def end(self) -> Sequence[Receipt]:
        return [self._receipt(subject) for subject in self.subjects if subject.name in self.ways]

    def heal(self) -> Sequence[Healing]:
        begun = [subject for subject in self.subjects if subject.name in self.ways]
        for subject in begun:
            self.ways[subject.name].end()
        return [self._healing(subject) for subject in begun]

    def _way(self, subject: Subject) -> Way:
        why_not = self.control.why_not(subject.tree(), subject.data_dir)
        if why_not is None:
            return Preloaded(subject, self.control.pages[subject.name], self.rule)
        return FileLimit(subject) if self.rule.how == "full" else Unreached(subject, self.rule.how, why_not)

    def _receipt(self, subject: Subject) -> Receipt:
        receipt, ended = self.ways[subject.name].receipt(), subject.ended()
        if ended is None or ended in receipt.says:
            return receipt
        return Receipt(
            receipt.subject, receipt.bit, f"{receipt.says}; it {ended}", {**receipt.evidence, "ended": ended}
        )

    def _healing(self, subject: Subject) -> Healing:
        """A node that ends of what it met, perhaps only now, is started again; one that lives has to answer."""
        name, seen = subject.name, _answers_or_ends(subject)
        by_itself = subject.tolerate("")
        if subject.ended() is None and seen is not None:
            return Healing(name, False, f"{name}: its disk is whole, and {seen}")
        back = started_again(subject) if by_itself else Healing(name, True, name)
        whole, says = self.ways[name].after()
        return Healing(name, back.healed and whole, f"{back.says}: {says}")


def _answers_or_ends(subject: Subject) -> str | None:
    """Wait until the node answers a ping or has ended: None, or what was seen instead."""
    seen: list[str | None] = ["nothing"]

    def settled() -> bool:
        seen[0] = subject.ping(PING_TIMEOUT_S) if subject.ended() is None else None
        return seen[0] is None

    within_s = subject.limits.of(SETTLES_WITHIN_S)
    try:
        wait_until(settled, Deadline.after(within_s), f"{subject.name} to answer or to end")
    except TimedOut:
        return f"a ping was not answered within {within_s:g}s ({seen[0]})"
    return None
