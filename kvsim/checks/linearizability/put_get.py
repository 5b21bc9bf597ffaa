"""The zone decision straight on the columns, without any objects, for keys with only put and get.

Decides as `zones.decide` does (tests hold them equal); `undecided` for keys with other operations.
"""

from __future__ import annotations

from kvsim.checks.linearizability.decision import (
    BEFORE,
    LINEARIZABLE,
    Decision,
    ViolationReason,
    not_linearizable,
    undecided,
)
from kvsim.checks.linearizability.zones import first_conflict
from kvsim.history.operations import ABSENT, GET, NEVER, OK, PUT, REFUSED, Operations


def decide(operations: Operations, initial: int = ABSENT) -> Decision:
    """Whether the operations of one key are linearizable. A violation names its values."""
    written = writes(operations, initial)
    if isinstance(written, Decision):
        return written
    called, first = written
    last = dict(called)
    decision = _reads(operations, called, first, last)
    return decision or _zones(first, last)


def writes(
    operations: Operations, initial: int
) -> tuple[dict[int, int], dict[int, int]] | Decision:
    """When each value's write was called, and when it returned; BEFORE for the initial value.

    An undecided decision for a key with other kinds than put and get, or a value written twice.
    """
    called, first = {initial: BEFORE}, {initial: BEFORE}
    columns = zip(
        operations.call_ns,
        operations.return_ns,
        operations.kind,
        operations.value,
        operations.outcome,
        strict=True,
    )
    for call, until, kind, value, outcome in columns:
        if kind == PUT:
            if outcome == REFUSED:
                continue
            if value in called or value == ABSENT:
                return undecided(ViolationReason.WRITTEN_TWICE)
            called[value] = call
            first[value] = until if outcome == OK else NEVER
        elif kind != GET:
            return undecided(ViolationReason.OTHER_KIND)
    return called, first


def _reads(
    operations: Operations, called: dict[int, int], first: dict[int, int], last: dict[int, int]
) -> Decision | None:
    """Narrow `first` and widen `last` by every read. A read without its write is a violation."""
    columns = zip(
        operations.call_ns,
        operations.return_ns,
        operations.kind,
        operations.value,
        operations.outcome,
        strict=True,
    )
    for call, until, kind, value, outcome in columns:
        if kind != GET or outcome != OK:
            continue
        earliest = first.get(value)
        if earliest is None:
            return not_linearizable(
                ViolationReason.NEVER_WRITTEN if value else ViolationReason.ABSENT_UNEXPLAINED,
                values=(value,),
            )
        if until < earliest:
            if until < called[value]:
                return not_linearizable(ViolationReason.READ_TOO_EARLY, values=(value,))
            first[value] = until
        if call > last[value]:
            last[value] = call
    return None


def _zones(first: dict[int, int], last: dict[int, int]) -> Decision:
    forward: list[tuple[int, int, int]] = []
    backward: list[tuple[int, int, int]] = []
    for value, begin in first.items():
        end = last[value]
        if begin < end:
            forward.append((begin, end, value))
        # Else it is an unknown write that was not read.
        elif begin < NEVER:
            backward.append((begin, end, value))
    forward.sort()
    return first_conflict(forward, backward) or LINEARIZABLE
