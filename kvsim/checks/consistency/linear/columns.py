"""The zone decision straight on the columns, for keys that see only put and get: the common case, without
any objects.

Same answers as `zones.decide` (tests hold them equal); `undecided` for whatever else the key has seen.
"""

from __future__ import annotations

from kvsim.checks.consistency.linear.ruling import BEFORE, YES, Reason, Ruling, no, undecided
from kvsim.checks.consistency.linear.zones import first_conflict
from kvsim.history.operations import ABSENT, GET, NEVER, OK, PUT, REFUSED, Operations


def decide(operations: Operations, initial: int = ABSENT) -> Ruling:
    """Whether the operations of one key are linearizable. A violation names the values it is about."""
    written = _writes(operations, initial)
    if isinstance(written, Ruling):
        return written
    called, first = written
    last = dict(called)
    ruling = _reads(operations, called, first, last)
    return ruling or _zones(first, last)


def _writes(operations: Operations, initial: int) -> tuple[dict[int, int], dict[int, int]] | Ruling:
    """When each value's write was called and when it returned; the initial value was always there."""
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
                return undecided(Reason.WRITTEN_TWICE)
            called[value] = call
            first[value] = until if outcome == OK else NEVER
        elif kind != GET:
            return undecided(Reason.OTHER_KIND)
    return called, first


def _reads(
    operations: Operations, called: dict[int, int], first: dict[int, int], last: dict[int, int]
) -> Ruling | None:
    """Narrow `first` and widen `last` by every read; a read that no write explains is a violation."""
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
            return no(Reason.NEVER_WRITTEN if value else Reason.ABSENT_UNEXPLAINED, values=(value,))
        if until < earliest:
            if until < called[value]:
                return no(Reason.READ_TOO_EARLY, values=(value,))
            first[value] = until
        if call > last[value]:
            last[value] = call
    return None


def _zones(first: dict[int, int], last: dict[int, int]) -> Ruling:
    forward: list[tuple[int, int, int]] = []
    backward: list[tuple[int, int, int]] = []
    for value, begin in first.items():
        end = last[value]
        if begin < end:
            forward.append((begin, end, value))
        elif begin < NEVER:  # else an unknown write that nobody read
            backward.append((begin, end, value))
    forward.sort()
    return first_conflict(forward, backward) or YES
