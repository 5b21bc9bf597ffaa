"""Terry's session guarantees, and all of them together, against the leader's order. Pure; one pass a session.

Each is one rule with four switches: which operations raise the position a session has reached, and which
are bound by it. A read takes the smallest position that fits, which is exact because every rule only bounds
positions from below. Unknown writes neither raise nor are bound: their client was promised nothing. A
session is one client process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.order import Order
from kvsim.checks.consistency.picture import picture
from kvsim.checks.consistency.prefix import NEVER_WRITTEN
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, APPEND, CAS, DELETE, DELETE_MISSED, GET, OK, PUT

PICTURES_KEPT = 3


@dataclass(frozen=True)
class Guarantee:
    name: str
    about: str
    reads_raise: bool
    writes_raise: bool
    reads_bound: bool
    writes_bound: bool


GUARANTEES = {
    guarantee.name: guarantee
    for guarantee in (
        Guarantee(
            "read_your_writes",
            "a client's read shows a state that contains all its own acknowledged writes",
            reads_raise=False,
            writes_raise=True,
            reads_bound=True,
            writes_bound=False,
        ),
        Guarantee(
            "monotonic_reads",
            "a client's reads never go back in the leader's order",
            reads_raise=True,
            writes_raise=False,
            reads_bound=True,
            writes_bound=False,
        ),
        Guarantee(
            "monotonic_writes",
            "a client's writes stand in the leader's order as it made them",
            reads_raise=False,
            writes_raise=True,
            reads_bound=False,
            writes_bound=True,
        ),
        Guarantee(
            "writes_follow_reads",
            "a client's write stands behind everything it had read",
            reads_raise=True,
            writes_raise=False,
            reads_bound=False,
            writes_bound=True,
        ),
        Guarantee(
            "sequential",
            "each client's operations fit the leader's order in the order in which it made them",
            reads_raise=True,
            writes_raise=True,
            reads_bound=True,
            writes_bound=True,
        ),
    )
}


def session_guarantee(name: str, history: History, order: Order, rows: Sequence[int] | None = None) -> Answer:
    """Judge one of GUARANTEES over the operations at `rows` (None: all)."""
    walk = _Walk(GUARANTEES[name], history, order)
    for session in _sessions(history, rows):
        walk.session(session)
    guarantee = walk.guarantee
    return answer(name, guarantee.about, walk.judged, walk.findings, unjudged=walk.unjudged)


def _sessions(history: History, rows: Sequence[int] | None) -> list[list[int]]:
    """Answered operations of each process, in the order of their calls."""
    operations = history.operations
    sessions: dict[int, list[int]] = {}
    for row in range(len(operations)) if rows is None else rows:
        if operations.outcome[row] == OK:
            sessions.setdefault(operations.process[row], []).append(row)
    for session in sessions.values():
        session.sort(key=operations.call_ns.__getitem__)
    return list(sessions.values())


class _Walk:
    """One guarantee's walk over all sessions: what was judged, found and left."""

    def __init__(self, guarantee: Guarantee, history: History, order: Order) -> None:
        self.guarantee, self.history, self.order = guarantee, history, order
        self.judged = 0
        self.findings: list[Finding] = []
        self.unjudged = {
            "deletes and appends, whose place in the log cannot be told": 0,
            "reads of a value that the log does not have": 0,
            NEVER_WRITTEN: 0,
            "writes that the log does not have, or has twice": 0,
        }
        self.floor, self.because, self.bound = 0, -1, False

    def session(self, rows: Sequence[int]) -> None:
        self.floor, self.because, self.bound = 0, -1, False
        kind = self.history.operations.kind
        for row in rows:
            if kind[row] in (GET, DELETE_MISSED):
                self._read(row)
            elif kind[row] in (PUT, CAS):
                self._write(row)
            elif kind[row] in (DELETE, APPEND):
                self._skip("deletes and appends, whose place in the log cannot be told")

    def _skip(self, why: str) -> None:
        self.unjudged[why] += 1

    def _read(self, row: int) -> None:
        operations, rule = self.history.operations, self.guarantee
        key = operations.key[row]
        value = ABSENT if operations.kind[row] == DELETE_MISSED else operations.value[row]
        if key not in self.order.of_key:
            self._skip(NEVER_WRITTEN)
            return
        somewhere = self.order.first(key, value)
        if somewhere is None:
            self._skip("reads of a value that the log does not have")
            return
        place: int | None = somewhere
        if rule.reads_bound:
            self.judged += self.bound
            place = self.order.first(key, value, self.floor)
            if place is None:
                self._violated(row, somewhere)
                return
        if rule.reads_raise:
            self._raise(place or 0, row)

    def _write(self, row: int) -> None:
        operations, rule = self.history.operations, self.guarantee
        place = self.order.position(operations.key[row], operations.value[row])
        if place is None:
            self._skip("writes that the log does not have, or has twice")
            return
        if rule.writes_bound:
            self.judged += self.bound
            if place < self.floor:
                self._violated(row, place)
                return
        if rule.writes_raise:
            self._raise(place, row)

    def _raise(self, place: int, row: int) -> None:
        """From here on something is held against what the client does."""
        self.bound = True
        if place > self.floor:
            self.floor, self.because = place, row

    def _violated(self, row: int, place: int) -> None:
        operations, rows = self.history.operations, (self.because, row)
        drawn = picture(self.history, rows) if len(self.findings) < PICTURES_KEPT else ""
        message = (
            f"{whom(operations, row)} is at position {place} of the leader's log at best, "
            f"after {whom(operations, self.because)}, which is at position {self.floor}"
        )
        node = operations.operation(row).node or ""
        key = operations.keys[operations.key[row]] or ""
        positions = (self.floor, place)
        self.findings.append(
            Violation(message, node=node, key=key, rows=rows, positions=positions, picture=drawn)
        )
