"""Session guarantees, and all of them together, by the leader's order. Pure; one pass a session.

Terry et al., "Session guarantees for weakly consistent replicated data" (1994). Each is one rule
with four switches: which operations raise the position that a session has reached, and which are
bound by it. A read takes the smallest position that fits, which is exact because every rule only
bounds positions from below. Unknown writes neither raise nor are bound: their client was
guaranteed nothing. A session is one client process.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kvsim.checks.consistency.ascii_timeline import draw_first_timelines
from kvsim.checks.consistency.leader_log import LeaderLog
from kvsim.checks.consistency.result import (
    NEVER_WRITTEN,
    ConsistencyResult,
    Violation,
    describe_request,
    make_result,
)
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import CHANGES_OTHERWISE, OK, READS, WRITES_WHOLE_VALUE

NOT_IDENTIFIED = "deletes and appends, which the log does not identify"
READ_NOT_IN_LOG = "reads of a value that the log does not have"
WRITE_NOT_IN_LOG = "writes that the log does not have, or has twice"


class SessionGuarantee(Struct, frozen=True):
    """One guarantee: what raises a session's position, and what is bound by it."""

    name: str
    about: str
    reads_raise: bool
    writes_raise: bool
    reads_bound: bool
    writes_bound: bool


SESSION_GUARANTEES = {
    guarantee.name: guarantee
    for guarantee in (
        SessionGuarantee(
            "read_your_writes",
            "a client's read shows a state that contains all its own acknowledged writes",
            reads_raise=False,
            writes_raise=True,
            reads_bound=True,
            writes_bound=False,
        ),
        SessionGuarantee(
            "monotonic_reads",
            "a client's reads never go back in the leader's order",
            reads_raise=True,
            writes_raise=False,
            reads_bound=True,
            writes_bound=False,
        ),
        SessionGuarantee(
            "monotonic_writes",
            "a client's writes stand in the leader's order as it made them",
            reads_raise=False,
            writes_raise=True,
            reads_bound=False,
            writes_bound=True,
        ),
        SessionGuarantee(
            "writes_follow_reads",
            "a client's write stands behind everything it had read",
            reads_raise=True,
            writes_raise=False,
            reads_bound=False,
            writes_bound=True,
        ),
        SessionGuarantee(
            "sequential",
            "each client's operations fit the leader's order in the order in which it made them",
            reads_raise=True,
            writes_raise=True,
            reads_bound=True,
            writes_bound=True,
        ),
    )
}


def session_guarantee(
    name: str, history: History, log: LeaderLog, rows: Sequence[int] | None = None
) -> ConsistencyResult:
    """Judge one of SESSION_GUARANTEES over the operations at `rows` (None: all)."""
    judging = _Judging(SESSION_GUARANTEES[name], history, log)
    for session in _sessions(history, rows):
        judging.session(session)
    about = judging.guarantee.about
    return make_result(name, about, judging.judged, judging.findings, unjudged=judging.unjudged)


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


class _Judging:
    """One guarantee over all sessions: what was judged, found and left.

    `floor` is the position that the current session has reached, `floor_row` the operation that
    raised it; `bound` is true once any operation raised it.
    """

    def __init__(self, guarantee: SessionGuarantee, history: History, log: LeaderLog) -> None:
        self.guarantee, self.history, self.log = guarantee, history, log
        self.judged = 0
        self.findings: list[Finding] = []
        self.unjudged = {
            NOT_IDENTIFIED: 0,
            READ_NOT_IN_LOG: 0,
            NEVER_WRITTEN: 0,
            WRITE_NOT_IN_LOG: 0,
        }
        self.floor, self.floor_row, self.bound = 0, -1, False

    def session(self, rows: Sequence[int]) -> None:
        self.floor, self.floor_row, self.bound = 0, -1, False
        kind = self.history.operations.kind
        for row in rows:
            if kind[row] in READS:
                self._read(row)
            elif kind[row] in WRITES_WHOLE_VALUE:
                self._write(row)
            elif kind[row] in CHANGES_OTHERWISE:
                self.unjudged[NOT_IDENTIFIED] += 1

    def _read(self, row: int) -> None:
        operations, rule = self.history.operations, self.guarantee
        key = operations.key[row]
        value = operations.value[row]
        if key not in self.log.of_key:
            self.unjudged[NEVER_WRITTEN] += 1
            return
        first = self.log.first_position(key, value)
        if first is None:
            self.unjudged[READ_NOT_IN_LOG] += 1
            return
        position: int | None = first
        if rule.reads_bound:
            self.judged += self.bound
            position = self.log.first_position(key, value, self.floor)
            if position is None:
                self._violated(row, first)
                return
        if rule.reads_raise:
            self._raise(position or 0, row)

    def _write(self, row: int) -> None:
        operations, rule = self.history.operations, self.guarantee
        position = self.log.write_position(operations.key[row], operations.value[row])
        if position is None:
            self.unjudged[WRITE_NOT_IN_LOG] += 1
            return
        if rule.writes_bound:
            self.judged += self.bound
            if position < self.floor:
                self._violated(row, position)
                return
        if rule.writes_raise:
            self._raise(position, row)

    def _raise(self, position: int, row: int) -> None:
        """From here on the session's operations are bound."""
        self.bound = True
        if position > self.floor:
            self.floor, self.floor_row = position, row

    def _violated(self, row: int, position: int) -> None:
        operations, rows = self.history.operations, (self.floor_row, row)
        message = (
            f"{describe_request(operations, row)} is at position {position} of the leader's log "
            f"at best, after {describe_request(operations, self.floor_row)}, "
            f"which is at position {self.floor}"
        )
        self.findings.append(
            Violation(
                message,
                node=operations.operation(row).node or "",
                key=operations.keys[operations.key[row]] or "",
                rows=rows,
                positions=(self.floor, position),
                timeline=draw_first_timelines(self.history, rows, len(self.findings)),
            )
        )
