"""Without the leader's log, all keys together: may a read be older than what was shown before it?

A write that was acknowledged before another one was called precedes it, in every order. So a node,
or a client, that was shown a write called at T may not be shown later, on any key, a value that a
write acknowledged before T had overwritten. Sound, and not complete: writes that overlap may be in
either order. A sweep whose state is one time. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import Struct

from kvsim.checks.consistency.ascii_timeline import draw_first_timelines
from kvsim.checks.consistency.incarnations import Incarnations
from kvsim.checks.consistency.result import Violation, describe_operation, describe_request
from kvsim.checks.consistency.session_guarantees import SessionGuarantee
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import CHANGES_KEY, NEVER, NOWHERE, Operations

NO_FLOOR = -NEVER


class ShownValue(Struct, frozen=True):
    """What real time proves of the value that a read showed.

    `written_ns` is when its write was called, `writer` that write's row (-1: it was there from the
    start). A write that came after it was over at `overwritten_ns`; `overwriter` is its row (NEVER
    and -1 when none certainly did).
    """

    written_ns: int
    writer: int
    overwritten_ns: int
    overwriter: int


class MissedWrite(Struct, frozen=True):
    """`read` does not show `overwriter`, which had completed before `writer` was called.

    `shown` is the read that had shown `writer` before, or `writer` itself where a client's own
    write counts. All are rows.
    """

    read: int
    overwriter: int
    shown: int
    writer: int


class NodeSweep:
    """The reads of each incarnation of each node, in time.

    `judged` counts reads before which the node had shown something, `left` those whose node or
    incarnation is not known.
    """

    def __init__(
        self,
        operations: Operations,
        values: Mapping[int, ShownValue],
        incarnations: Incarnations,
    ) -> None:
        self.operations, self.values, self.incarnations = operations, values, incarnations
        self.judged = self.left = 0

    def missed_writes(self, rows: list[int]) -> list[MissedWrite]:
        by_incarnation: dict[tuple[int, int], list[int]] = defaultdict(list)
        operations = self.operations
        for row in rows:
            node = operations.node[row]
            number = self.incarnations.of(node, operations.call_ns[row], operations.return_ns[row])
            if node == NOWHERE or number is None:
                self.left += 1
            else:
                by_incarnation[node, number].append(row)
        return [missed for reads in by_incarnation.values() for missed in self._sweep(reads)]

    def _sweep(self, reads: list[int]) -> Iterator[MissedWrite]:
        called = sorted(reads, key=self.operations.call_ns.__getitem__)
        returned = sorted(reads, key=self.operations.return_ns.__getitem__)
        calls, returns = self.operations.call_ns, self.operations.return_ns
        floor_ns, shown, done = NO_FLOOR, -1, 0
        for row in called:
            while returns[returned[done]] < calls[row]:
                value = self.values[returned[done]]
                if value.written_ns > floor_ns:
                    floor_ns, shown = value.written_ns, returned[done]
                done += 1
            self.judged += done > 0
            if self.values[row].overwritten_ns < floor_ns:
                overwriter = self.values[row].overwriter
                yield MissedWrite(row, overwriter, shown, self.values[shown].writer)


def missed_by_session(
    rows: list[int],
    operations: Operations,
    values: Mapping[int, ShownValue],
    rule: SessionGuarantee,
) -> Iterator[MissedWrite]:
    """What one client missed: `rows` are its operations in the order of their calls.

    Its own writes, and the reads in `values`, bind the reads in `values` that follow.
    """
    floor_ns, shown = NO_FLOOR, -1
    for row in rows:
        value = values.get(row)
        if value is not None:
            if rule.reads_bound and value.overwritten_ns < floor_ns:
                writer = values[shown].writer if shown in values else shown
                yield MissedWrite(row, value.overwriter, shown, writer)
            elif rule.reads_raise and value.written_ns > floor_ns:
                floor_ns, shown = value.written_ns, row
        elif rule.writes_raise and _raises(operations, row, floor_ns):
            floor_ns, shown = operations.call_ns[row], row


def _raises(operations: Operations, row: int, floor_ns: int) -> bool:
    return operations.kind[row] in CHANGES_KEY and operations.call_ns[row] > floor_ns


def missed_write_finding(history: History, missed: MissedWrite, number: int) -> Finding:
    """The finding about a missed write, the check's `number`-th: the read, and why it is wrong."""
    operations = history.operations
    read = operations.operation(missed.read)
    key = operations.keys[operations.key[missed.writer]] or ""
    shown = (
        ""
        if missed.shown == missed.writer
        else f", which {describe_request(operations, missed.shown)} had shown before"
    )
    message = (
        f"key {read.key!r}: {describe_request(operations, missed.read)} does not show "
        f"{describe_request(operations, missed.overwriter)}, which had completed before "
        f"{describe_operation(operations, missed.writer)} of key {key!r} was called{shown}"
    )
    rows = tuple(
        sorted(
            {missed.overwriter, missed.writer, missed.shown, missed.read},
            key=lambda row: (operations.call_ns[row], row),
        )
    )
    return Violation(
        message,
        node=read.node or "",
        key=read.key,
        rows=rows,
        timeline=draw_first_timelines(history, rows, number),
    )
