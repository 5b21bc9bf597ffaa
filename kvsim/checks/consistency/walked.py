"""Clients' operations in the order in which each client made them, and which of them a session guarantee can say
anything about. Pure; one pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kvsim.checks.consistency.sessions import GUARANTEES
from kvsim.history.operations import CAS_MISSED, NEVER, OK, READS, Operations


@dataclass(frozen=True)
class Walked:
    """`rows` are the answered operations, each client's in the order of its calls. `tangled` are clients that
    did two things at once, so that the order of their calls is not the order of what happened.

    `bound` has a bit for each guarantee at an operation before which its client had done something that the
    guarantee holds against it: only these are judged, since before a client's first write nothing can be
    missing of its writes.
    """

    rows: Sequence[int]
    tangled: frozenset[int]
    bound: bytearray

    def has(self, row: int) -> bool:
        return self.bound[row] >= ANSWERED

    def counts(self, rows: Sequence[int]) -> dict[str, int]:
        """How many of `rows` each guarantee says something about."""
        of_mask = Counter(map(self.bound.__getitem__, rows))
        return {
            name: sum(count for mask, count in of_mask.items() if mask & bit) for name, bit in BITS.items()
        }


BITS = {name: 1 << place for place, name in enumerate(GUARANTEES)}
ANSWERED = 1 << len(BITS)


def _mask(done: int, is_read: bool) -> int:
    """The guarantees that bind an operation of a client that has `done` (1: a read, 2: a write)."""
    bound = ANSWERED
    for name, rule in GUARANTEES.items():
        raised = (done & 1 and rule.reads_raise) or (done & 2 and rule.writes_raise)
        if raised and (rule.reads_bound if is_read else rule.writes_bound):
            bound |= BITS[name]
    return bound


MASKS = {(done, is_read): _mask(done, is_read) for done in range(4) for is_read in (False, True)}


def walked(operations: Operations, rows: Sequence[int]) -> Walked:
    """The answered operations among `rows`."""
    kinds, outcomes = operations.kind, operations.outcome
    answered = [row for row in rows if outcomes[row] == OK and kinds[row] != CAS_MISSED]
    if not _in_order(operations, answered):
        answered.sort(key=operations.call_ns.__getitem__)
    bound, tangled = bytearray(len(operations)), set()
    done: dict[int, int] = {}
    free: dict[int, int] = {}
    calls, returns, processes = operations.call_ns, operations.return_ns, operations.process
    for row in answered:
        process, is_read = processes[row], kinds[row] in READS
        before = done.get(process, 0)
        if before and calls[row] <= free[process]:
            tangled.add(process)
        bound[row] = MASKS[before, is_read]
        done[process] = before | (1 if is_read else 2)
        free[process] = returns[row]
    return Walked(answered, frozenset(tangled), bound)


def _in_order(operations: Operations, rows: Sequence[int]) -> bool:
    """Does each client's part of `rows` stand in the order of its calls already?"""
    last: dict[int, int] = {}
    calls, processes = operations.call_ns, operations.process
    for row in rows:
        process = processes[row]
        if calls[row] < last.get(process, -NEVER):
            return False
        last[process] = calls[row]
    return True
