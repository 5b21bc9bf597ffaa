"""Clients' operations in the order in which each client made them, and which of them can be judged.

Pure; one pass.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress

from msgspec import Struct

from kvsim.checks.consistency.inferred import sessions_numpy
from kvsim.checks.consistency.masks import both, mask_of, mask_of_rows, rows_in
from kvsim.checks.consistency.session_guarantees import SESSION_GUARANTEES
from kvsim.history.operations import PLACED, READS, Operations

# Session guarantee → its bit.
BITS = {name: 1 << number for number, name in enumerate(SESSION_GUARANTEES)}
ANSWERED = 1 << len(BITS)


class ClientSessions(Struct, frozen=True):
    """The answered operations of clients, the rows in `mask`.

    `bound` has one byte an operation of the history: ANSWERED for those in `mask`, and a bit for
    each guarantee that binds it. A guarantee binds an operation only after an operation of the same
    client that raises (see SessionGuarantee): before a client's first write no read can miss its
    writes. `concurrent` are clients that made two requests at once, so that the order of their
    calls is not the order of what happened.
    """

    operations: Operations
    mask: bytes
    bound: bytes
    concurrent: frozenset[int]

    def by_client(self, clients: Collection[int]) -> dict[int, list[int]]:
        """The rows of some clients, each client's in the order of its calls."""
        found: dict[int, list[int]] = {}
        process, calls = self.operations.process, self.operations.call_ns
        for row in rows_in(self.mask) if clients else ():
            if process[row] in clients:
                found.setdefault(process[row], []).append(row)
        for rows in found.values():
            rows.sort(key=calls.__getitem__)
        return found

    def has(self, row: int) -> bool:
        return self.bound[row] >= ANSWERED

    def counts(self, rows: Sequence[int]) -> dict[str, int]:
        """Session guarantee → how many of `rows` it binds."""
        return self._by_name(Counter(map(self.bound.__getitem__, rows)))

    def counts_in(self, mask: bytes) -> dict[str, int]:
        """Session guarantee → how many of the rows in `mask` it binds."""
        bound = bytes(self.bound if 0 not in mask else compress(self.bound, mask))
        return self._by_name({byte: bound.count(byte) for byte in set(bound)})

    def _by_name(self, of_mask: Mapping[int, int]) -> dict[str, int]:
        return {
            name: sum(count for mask, count in of_mask.items() if mask & bit)
            for name, bit in BITS.items()
        }


def _mask(done: int, is_read: bool) -> int:
    """The guarantees that bind an operation of a client that has `done` (1: a read, 2: a write)."""
    bound = ANSWERED
    for name, rule in SESSION_GUARANTEES.items():
        raised = (done & 1 and rule.reads_raise) or (done & 2 and rule.writes_raise)
        if raised and (rule.reads_bound if is_read else rule.writes_bound):
            bound |= BITS[name]
    return bound


MASKS = {(done, is_read): _mask(done, is_read) for done in range(4) for is_read in (False, True)}


def sessions_of(
    operations: Operations, rows: Iterable[int], *, use_numpy: bool = False
) -> ClientSessions:
    """The answered operations among `rows`, by client."""
    mask = both(mask_of_rows(len(operations), rows), mask_of(operations, PLACED))
    is_read = operations.kind.tobytes().translate(_READ_TABLE)
    bind_all = sessions_numpy.bind if use_numpy else bind
    bound, concurrent = bind_all(operations, mask, is_read, _MASK_TABLE)
    return ClientSessions(operations, mask, bound, frozenset(concurrent))


def bind(
    operations: Operations, mask: bytes, is_read: bytes, of_state: bytes
) -> tuple[bytes, set[int]]:
    """See `sessions_numpy.bind`, which does the same with numpy."""
    bound = bytearray(len(operations))
    concurrent = _bind(operations, rows_in(mask), is_read, of_state, bound)
    if concurrent is None:
        concurrent = _bind(operations, _by_client(operations, mask), is_read, of_state, bound)
    return bytes(bound), concurrent or set()


def _by_client(operations: Operations, mask: bytes) -> Iterator[int]:
    """The rows in `mask`, one client after another, and each client's in the order of its calls."""
    rows_of: dict[int, array[int]] = {}
    processes = operations.process
    for row in rows_in(mask):
        rows_of.setdefault(processes[row], array("q")).append(row)
    for rows in rows_of.values():
        yield from sorted(rows, key=operations.call_ns.__getitem__)


def _bind(
    operations: Operations, rows: Iterable[int], is_read: bytes, of_state: bytes, bound: bytearray
) -> set[int] | None:
    """Fill `bound` for `rows`. The clients with two requests at once; None when the rows are not in
    the order of each client's calls.
    """
    concurrent: set[int] = set()
    # Client → its last operation, and by row what its client has done until then.
    last: dict[int, int] = {}
    done = bytearray(len(operations))
    calls, returns, processes = operations.call_ns, operations.return_ns, operations.process
    for row in rows:
        process, reads, before = processes[row], is_read[row], 0
        previous = last.get(process)
        if previous is not None:
            before = done[previous]
            if calls[row] <= returns[previous]:
                if calls[row] < calls[previous]:
                    return None
                concurrent.add(process)
        bound[row] = of_state[2 * before + reads]
        done[row] = before | 2 - reads
        last[process] = row
    return concurrent


# By twice what was done, and 1 for a read.
_MASK_TABLE = bytes(MASKS[done, bool(reads)] for done in range(4) for reads in range(2))
_READ_TABLE = bytes(kind in READS for kind in range(256))
