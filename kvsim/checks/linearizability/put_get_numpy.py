"""The zone decision on the columns with numpy, some twenty times faster, for put and get.

Optional: numpy is imported when it is first used, and everything works without it. Decides as
`put_get.decide` does.
"""

from __future__ import annotations

from typing import Any

from kvsim.checks.linearizability.decision import (
    BEFORE,
    LINEARIZABLE,
    Decision,
    ViolationReason,
    not_linearizable,
    undecided,
)
from kvsim.history.numpy_module import numpy
from kvsim.history.operations import ABSENT, GET, NEVER, OK, PUT, REFUSED, UNKNOWN, Operations


def decide(operations: Operations, initial: int = ABSENT) -> Decision:
    """Whether the operations of one key are linearizable. Raises RuntimeError without numpy."""
    np = numpy()
    if np is None:
        raise RuntimeError("numpy is not installed")
    kind = np.frombuffer(operations.kind, np.int8)
    outcome = np.frombuffer(operations.outcome, np.int8)
    writes = np.flatnonzero((kind == PUT) & (outcome != REFUSED))
    reads = np.flatnonzero((kind == GET) & (outcome == OK))
    if ((kind != PUT) & (kind != GET)).any():
        return undecided(ViolationReason.OTHER_KIND)
    columns = _Columns(np, operations, writes, reads, initial)
    if not columns.written_once():
        return undecided(ViolationReason.WRITTEN_TWICE)
    return columns.reads_explained() or columns.zones_agree()


class _Columns:
    """The columns as arrays; `called`, `first` and `last` are indexed by dense value number."""

    def __init__(
        self, np: Any, operations: Operations, writes: Any, reads: Any, initial: int
    ) -> None:
        self.np, self.initial = np, initial
        call = np.frombuffer(operations.call_ns, np.int64)
        until = np.frombuffer(operations.return_ns, np.int64)
        value = np.frombuffer(operations.value, np.int64)
        unknown = np.frombuffer(operations.outcome, np.int8)[writes] == UNKNOWN
        self.written, self.read = value[writes], value[reads]
        self.write_call = call[writes]
        self.write_until = np.where(unknown, NEVER, until[writes])
        self.read_call, self.read_until = call[reads], until[reads]
        self.size = int(max(self.written.max(initial=initial), self.read.max(initial=ABSENT))) + 1
        self.known = np.zeros(self.size, bool)
        self.known[self.written] = True

    def written_once(self) -> bool:
        if self.known[self.initial] or self.known[ABSENT]:
            return False
        return int(self.known.sum()) == len(self.written)

    def reads_explained(self) -> Decision | None:
        np = self.np
        self.known[self.initial] = True
        unexplained = ~self.known[self.read]
        if unexplained.any():
            value = int(self.read[unexplained][0])
            return not_linearizable(
                ViolationReason.NEVER_WRITTEN if value else ViolationReason.ABSENT_UNEXPLAINED,
                values=(value,),
            )
        called = np.full(self.size, BEFORE, np.int64)
        self.first = np.full(self.size, BEFORE, np.int64)
        called[self.written] = self.write_call
        self.first[self.written] = self.write_until
        early = self.read_until < called[self.read]
        if early.any():
            return not_linearizable(
                ViolationReason.READ_TOO_EARLY, values=(int(self.read[early][0]),)
            )
        self.last = called
        np.minimum.at(self.first, self.read, self.read_until)
        np.maximum.at(self.last, self.read, self.read_call)
        return None

    def zones_agree(self) -> Decision:
        np = self.np
        ahead = self.first < self.last
        values = np.flatnonzero(self.known & ahead)
        values = values[np.lexsort((self.last[values], self.first[values]))]
        begin, end = self.first[values], self.last[values]
        clash = np.flatnonzero(begin[1:] < end[:-1])
        if len(clash):
            at = int(clash[0])
            return not_linearizable(
                ViolationReason.OVERLAP, values=(int(values[at]), int(values[at + 1]))
            )
        instants = np.flatnonzero(self.known & ~ahead & (self.first < NEVER))
        if not len(begin):
            return LINEARIZABLE
        before = np.searchsorted(begin, self.last[instants], side="left") - 1
        inside = (before >= 0) & (self.first[instants] < end[np.maximum(before, 0)])
        if inside.any():
            at = int(np.flatnonzero(inside)[0])
            return not_linearizable(
                ViolationReason.SWALLOWED, values=(int(values[before[at]]), int(instants[at]))
            )
        return LINEARIZABLE
