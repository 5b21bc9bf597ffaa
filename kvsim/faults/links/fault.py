"""A fault of links: one rule for the bytes that flow from some to others. Healing lets everything pass again.

Receipt, one for each two ends: what was offered on the links between them and what became of it, counted by the proxies. Two
ends that said nothing to each other prove nothing, and say so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from kvsim.errors import KvsimError
from kvsim.faults.fault import FaultFailed, Healing, Receipt
from kvsim.faults.links.evidence import Total, tell
from kvsim.faults.links.process import Links, Way, link
from kvsim.faults.links.rules import PASS, Rule
from kvsim.waiting import Deadline, TimedOut, wait_until

CLIENT = "client"


@dataclass(frozen=True)
class LinkFault:
    """`flows` are (from, to) of the bytes that are hit; `what` is how it shows (a key of evidence.TELL).

    `_begun` is empty until rules are set, so that a fault that broke off before does not heal another's.
    """

    kind: str
    flows: tuple[tuple[str, str], ...]
    rule: Rule
    what: str
    links: Links
    _begun: list[Way] = field(default_factory=list)

    @property
    def nodes(self) -> tuple[str, ...]:
        ends = dict.fromkeys(end for flow in self.flows for end in flow)
        return tuple(end for end in ends if end != CLIENT)

    def plan(self) -> Mapping[str, Any]:
        changed = {name: value for name, value in self.rule.to_json().items() if value != getattr(PASS, name)}
        return {"flows": [link(*flow) for flow in self.flows], **changed}

    def begin(self) -> Sequence[Receipt]:
        now = self._now()
        broken = [way for way in self._ways() if now[way] != PASS]
        if broken:
            raise FaultFailed(f"link {broken[0][0]} is broken by a fault around this one already")
        self._begun.extend(self._ways())
        self.links.set(dict.fromkeys(self._begun, self.rule), anew=True)
        return ()

    def taken_up(self) -> Self:
        """This fault as begun by somebody else, who left it: it can be looked at and healed."""
        self._begun.extend(self._ways())
        return self

    def end(self) -> Sequence[Receipt]:
        if not self._begun:
            return ()
        seen = self.links.seen(self._names())
        return [self._receipt(one, other, seen) for one, other in self._ends()]

    def tried(self, within_s: float) -> list[Receipt]:
        """The receipts so far, once somebody has tried every link or the time is over."""
        receipts: list[Receipt] = []

        def all_tried() -> bool:
            receipts[:] = self.end()
            return all(receipt.bit is not None for receipt in receipts)

        with contextlib.suppress(TimedOut):
            wait_until(all_tried, Deadline.after(within_s), "somebody to try every link")
        return receipts

    def heal(self) -> Sequence[Healing]:
        if not self._begun:
            return ()
        try:
            self.links.set(dict.fromkeys(self._ways(), PASS))
            now = self._now()
            left = sorted({name for name, way in self._ways() if now[name, way] != PASS})
            lost = [] if left else self.links.unreached(self.flows)
        except KvsimError as error:
            return [Healing("links", False, str(error))]
        names = ", ".join(sorted({"–".join(pair) for pair in self._ends()}))
        state = "still broken" if left else "everything passes again"
        if lost:
            state = f"no rule is left, but nothing arrives on {', '.join(lost)}"
        return [Healing("links", not left and not lost, f"{names}: {state}")]

    def _receipt(self, one: str, other: str, seen: Mapping[str, Any]) -> Receipt:
        between = [way for flow in self.flows if set(flow) == {one, other} for way in self.links.ways(*flow)]
        total = Total.of(seen[name][way] for name, way in dict.fromkeys(between))
        bit, says = tell(self.what, total, self.rule)
        return Receipt(f"{one}–{other}", bit, f"{one}–{other}: {says}", vars(total))

    def _ends(self) -> list[tuple[str, str]]:
        """The two ends of every flow, each two once."""
        found: dict[frozenset[str], tuple[str, str]] = {}
        for flow in self.flows:
            found.setdefault(frozenset(flow), flow)
        return list(found.values())

    def _ways(self) -> list[Way]:
        return list(dict.fromkeys(way for flow in self.flows for way in self.links.ways(*flow)))

    def _names(self) -> set[str]:
        return {name for name, _ in self._ways()}

    def _now(self) -> dict[Way, Rule]:
        told = self.links.rules(self._names())
        return {(name, way): Rule(**rule) for name, ways in told.items() for way, rule in ways.items()}
