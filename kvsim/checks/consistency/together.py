"""Without the leader's log, all keys together: whoever had been shown one write must be shown what certainly
stood before it in the leader's order, on whatever key. Pure; a sweep with one moment as its state.

A write that was acknowledged before another one was called stands before it, in every order. So a node, or a
client, that was shown a write called at T may not afterwards be shown a value that something acknowledged
before T had overwritten. Sound, and no more than that: writes that overlap may stand in either order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kvsim.checks.consistency.answer import Violation, name_operation, whom
from kvsim.checks.consistency.clusters import WRITES
from kvsim.checks.consistency.lives import Lives
from kvsim.checks.consistency.picture import picture
from kvsim.checks.consistency.sessions import Guarantee
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import NEVER, NOWHERE, Operations

PICTURES_KEPT = 3
NOTHING_YET = -NEVER


@dataclass(frozen=True, slots=True)
class Seen:
    """A read, by what real time says of the value that it showed: `written_ns` is when its write was called,
    `writer` that write's row (-1: there from the start); something that came after it was over at `over_ns`,
    and `by` is the row of that (-1: nothing was).
    """

    written_ns: int
    writer: int
    over_ns: int
    by: int


@dataclass(frozen=True, slots=True)
class Lapse:
    """`read` shows what `by` had overwritten before `writer` was called, which `shown` had shown before (or
    was, where a client's own write counts).
    """

    read: int
    by: int
    shown: int
    writer: int


class Nodes:
    """The reads of each node as they went on; a new life starts anew. `judged` counts those before which the
    node had shown something, `left` those whose node or life nobody knows.
    """

    def __init__(self, operations: Operations, seen: Mapping[int, Seen], lives: Lives) -> None:
        self.operations, self.seen, self.lives = operations, seen, lives
        self.judged = self.left = 0

    def lapses(self, rows: list[int]) -> list[Lapse]:
        by_life: dict[tuple[int, int], list[int]] = defaultdict(list)
        operations = self.operations
        for row in rows:
            node = operations.node[row]
            life = self.lives.of(node, operations.call_ns[row], operations.return_ns[row])
            if node == NOWHERE or life is None:
                self.left += 1
            else:
                by_life[node, life].append(row)
        return [lapse for reads in by_life.values() for lapse in self._sweep(reads)]

    def _sweep(self, reads: list[int]) -> Iterator[Lapse]:
        called = sorted(reads, key=self.operations.call_ns.__getitem__)
        returned = sorted(reads, key=self.operations.return_ns.__getitem__)
        calls, returns = self.operations.call_ns, self.operations.return_ns
        floor_ns, shown, done = NOTHING_YET, -1, 0
        for row in called:
            while returns[returned[done]] < calls[row]:
                told = self.seen[returned[done]]
                if told.written_ns > floor_ns:
                    floor_ns, shown = told.written_ns, returned[done]
                done += 1
            self.judged += done > 0
            if self.seen[row].over_ns < floor_ns:
                yield Lapse(row, self.seen[row].by, shown, self.seen[shown].writer)


def lapses_of_session(
    rows: list[int], operations: Operations, seen: Mapping[int, Seen], rule: Guarantee
) -> Iterator[Lapse]:
    """One client's operations in the order of their calls: what its own writes, and the reads in `seen`, say
    of the reads in `seen` that follow.
    """
    floor_ns, shown = NOTHING_YET, -1
    for row in rows:
        told = seen.get(row)
        if told is not None:
            if rule.reads_bound and told.over_ns < floor_ns:
                yield Lapse(row, told.by, shown, seen[shown].writer if shown in seen else shown)
            elif rule.reads_raise and told.written_ns > floor_ns:
                floor_ns, shown = told.written_ns, row
        elif rule.writes_raise and operations.kind[row] in WRITES and operations.call_ns[row] > floor_ns:
            floor_ns, shown = operations.call_ns[row], row


def finding_of(history: History, lapse: Lapse, draw: int) -> Finding:
    """What to say of it: the read, what it misses, and why it may not."""
    operations = history.operations
    read = operations.operation(lapse.read)
    key = operations.keys[operations.key[lapse.writer]] or ""
    known = "" if lapse.shown == lapse.writer else f", which {whom(operations, lapse.shown)} had shown before"
    message = (
        f"key {read.key!r}: {whom(operations, lapse.read)} does not show "
        f"{whom(operations, lapse.by)}, which had completed before "
        f"{name_operation(operations, lapse.writer)} of key {key!r} was called{known}"
    )
    rows = tuple(
        sorted(
            {lapse.by, lapse.writer, lapse.shown, lapse.read}, key=lambda row: (operations.call_ns[row], row)
        )
    )
    drawn = picture(history, rows) if draw < PICTURES_KEPT else ""
    return Violation(message, node=read.node or "", key=read.key, rows=rows, picture=drawn)
