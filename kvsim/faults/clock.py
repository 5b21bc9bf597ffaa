"""Clock: the wall clock that nodes see is moved, or runs fast or slow. Their monotonic clock, and everybody else's clock, stay true.

Receipt: how often the node asked for the time, and what it was told at last beside the true time. Healing lets the clock be true again
at once, as a jump the other way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvsim.faults.fault import FaultFailed, Healing, Receipt
from kvsim.faults.preload.control import Control
from kvsim.faults.preload.page import CLOCK, CLOCK_COUNTERS
from kvsim.faults.subject import Subject

NS = 1_000_000_000


@dataclass(frozen=True)
class Clock:
    """`by_s` ahead, behind when negative; `rate` seconds pass on it in one. `reached`: node → why it is not (None: it is)."""

    subjects: tuple[Subject, ...]
    by_s: float
    rate: float
    control: Control
    kind: str = "clock"
    reached: dict[str, str | None] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(subject.name for subject in self.subjects)

    def plan(self) -> Mapping[str, Any]:
        return {"by_s": self.by_s, "rate": self.rate}

    def begin(self) -> Sequence[Receipt]:
        rule = {
            "clock_offset_ns": round(self.by_s * NS),
            "clock_anchor_ns": time.time_ns(),
            "clock_extra_ppb": round((self.rate - 1) * NS),
        }
        for subject in self.subjects:
            page = self.control.pages[subject.name]
            if page.is_on(CLOCK):
                raise FaultFailed(f"the clock of {subject.name} is moved by a fault around this one already")
            self.reached[subject.name] = self.control.why_not(subject.tree(), subject.data_dir)
            if self.reached[subject.name] is None:
                page.begin(CLOCK, rule, CLOCK_COUNTERS)
        return ()

    def end(self) -> Sequence[Receipt]:
        return [self._receipt(subject) for subject in self.subjects if subject.name in self.reached]

    def heal(self) -> Sequence[Healing]:
        return [self._healing(subject.name) for subject in self.subjects if subject.name in self.reached]

    def _receipt(self, subject: Subject) -> Receipt:
        name, why_not = subject.name, self.reached[subject.name]
        if why_not is not None:
            return Receipt(name, False, f"{name}: its clock cannot be moved: {why_not}", {})
        page = self.control.pages[name]
        counts = {counter: page[counter] for counter in CLOCK_COUNTERS}
        if not counts["clock_asked"]:
            return Receipt(name, None, f"{name}: it never asked for the time", counts)
        ahead_s = (counts["clock_told_ns"] - counts["clock_real_ns"]) / NS
        says = (
            f"{name}: asked for the time {counts['clock_asked']} times, and was told {said(ahead_s)} at last"
        )
        return Receipt(name, ahead_s != 0, says, {**counts, "ahead_s": ahead_s})

    def _healing(self, name: str) -> Healing:
        page = self.control.pages[name]
        if self.reached[name] is None:
            page.switch(off=CLOCK)
        return Healing(name, not page.is_on(CLOCK), f"{name}: its clock is this machine's")


def said(ahead_s: float) -> str:
    """A skew in words: 30.000 s ahead."""
    return f"{abs(ahead_s):.3f} s {'ahead' if ahead_s >= 0 else 'behind'}"
