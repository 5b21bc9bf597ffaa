"""A disk that is broken from inside the node, by the library that was loaded into it. Told and read through the node's page."""

from __future__ import annotations

from dataclasses import dataclass

from kvsim.faults.disk.evidence import tell
from kvsim.faults.disk.rule import Rule
from kvsim.faults.fault import Receipt
from kvsim.faults.preload.page import COUNTERS, DISK, WATCH, Page
from kvsim.faults.subject import Subject
from kvsim.waiting import Deadline, TimedOut, wait_until

PASSES_WITHIN_S = 0.3


@dataclass(frozen=True)
class Preloaded:
    """Every process of the node shares the page, those too that are started while the rule is on."""

    subject: Subject
    page: Page
    rule: Rule

    def begin(self) -> None:
        self.page.begin(DISK, self.rule.page(), COUNTERS)

    def receipt(self) -> Receipt:
        counts = {name: self.page[name] for name in COUNTERS}
        bit, says = tell(self.rule, counts)
        how = {"by": "a library loaded into the node", **counts}
        return Receipt(self.subject.name, bit, f"{self.subject.name}: {says}", how)

    def end(self) -> None:
        self.page["passed"] = 0
        self.page.switch(on=WATCH, off=DISK)

    def after(self) -> tuple[bool, str]:
        """Whether it is whole again, and what was seen of that: the next call that went well, if somebody made one soon."""
        refused = self._refused()
        try:
            wait_until(lambda: self.page["passed"] > 0, Deadline.after(PASSES_WITHIN_S), "a write or a sync")
            seen = "and a write or a sync went well since"
        except TimedOut:
            seen = "and nobody wrote since"
        self.page.switch(off=WATCH)
        if self._refused() > refused:
            return False, "its disk still refuses what is written"
        return True, f"its disk takes everything again, {seen}"

    def _refused(self) -> int:
        return self.page["writes_refused"] + self.page["syncs_refused"]
