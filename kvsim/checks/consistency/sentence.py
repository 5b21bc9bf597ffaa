"""Why a key is not linearizable, in one sentence about the few operations that prove it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvsim.checks.consistency.answer import name_operation, whom
from kvsim.checks.consistency.linear.ruling import Reason
from kvsim.history.operations import (
    ABSENT,
    CAS,
    DELETE,
    DELETE_MISSED,
    GET,
    NEVER,
    PUT,
    UNKNOWN,
    Operations,
)


def sentence(operations: Operations, rows: Sequence[int], reason: Reason) -> str:
    """One sentence about the contradiction that the operations at `rows` are (minimal, in call order)."""
    stale = _stale_read(operations, rows)
    if stale is not None:
        return stale
    return SENTENCES.get(reason, _general)(operations, rows, reason)


def _stale_read(operations: Operations, rows: Sequence[int]) -> str | None:
    """The commonest shape: put(a), then put(b), then a read that still sees a."""
    if len(rows) != 3:
        return None
    old, new, read = rows
    kind, value, call = operations.kind, operations.value, operations.call_ns
    shape = kind[old] in (PUT, CAS) and kind[new] in (PUT, CAS, DELETE) and kind[read] == GET
    if not shape or value[read] != value[old] or operations.outcome[new] == UNKNOWN:
        return None
    if not _end(operations, old) < call[new] or not _end(operations, new) < call[read]:
        return None
    return (
        f"stale read: {whom(operations, read)} began after {name_operation(operations, new)} had completed, "
        f"and that began after {name_operation(operations, old)} had completed"
    )


def _end(operations: Operations, row: int) -> int:
    return NEVER if operations.outcome[row] == UNKNOWN else operations.return_ns[row]


def _never_written(operations: Operations, rows: Sequence[int], reason: Reason) -> str:
    return f"{whom(operations, rows[0])}, but nobody wrote that value"


def _refused(operations: Operations, rows: Sequence[int], reason: Reason) -> str:
    read = next(row for row in rows if operations.kind[row] == GET)
    writes = [row for row in rows if row != read]
    refused = f": {whom(operations, writes[0])}" if writes else ""
    return f"{whom(operations, read)}, but the write of that value was refused{refused}"


def _early(operations: Operations, rows: Sequence[int], reason: Reason) -> str:
    first = min(rows, key=lambda row: _end(operations, row))
    last = max(rows, key=lambda row: operations.call_ns[row])
    return f"{whom(operations, first)} returned before {whom(operations, last)} began, on which it depends"


def _two_values(operations: Operations, rows: Sequence[int], reason: Reason) -> str:
    """Two values whose periods exclude each other: say what bounds each."""
    values = list(dict.fromkeys(operations.value[row] for row in rows if operations.value[row] != ABSENT))
    parts = [_period(operations, [row for row in rows if operations.value[row] == value]) for value in values]
    return f"{reason.value}: " + "; but ".join(parts)


def _period(operations: Operations, rows: Sequence[int]) -> str:
    value = operations.values[operations.value[rows[0]]]
    first = min(rows, key=lambda row: _end(operations, row))
    last = max(rows, key=lambda row: operations.call_ns[row])
    if _end(operations, first) < operations.call_ns[last]:
        begin, end = name_operation(operations, first), name_operation(operations, last)
        return f"{value!r} was current at least from the return of {begin} to the call of {end}"
    return f"all of {', '.join(name_operation(operations, row) for row in rows)} happened meanwhile"


def _absent(operations: Operations, rows: Sequence[int], reason: Reason) -> str:
    """A value that was there, and a read that did not find it."""
    last = max(rows, key=lambda row: operations.call_ns[row])
    if len(rows) != 2 or operations.kind[last] not in (GET, DELETE_MISSED):
        return _general(operations, rows, reason)
    first = next(row for row in rows if row != last)
    return (
        f"{whom(operations, last)} began after {name_operation(operations, first)} had completed, "
        "and no delete can explain that it found nothing"
    )


def _general(operations: Operations, rows: Sequence[int], reason: Reason) -> str:
    last = max(rows, key=lambda row: operations.call_ns[row])
    return f"{reason.value}; the last of the {len(rows)} operations that prove it is {whom(operations, last)}"


SENTENCES: dict[Reason, Callable[[Operations, Sequence[int], Reason], str]] = {
    Reason.NEVER_WRITTEN: _never_written,
    Reason.REFUSED_WRITE: _refused,
    Reason.READ_TOO_EARLY: _early,
    Reason.CAS_TOO_EARLY: _early,
    Reason.ABSENT_UNEXPLAINED: _absent,
    Reason.ABSENT_INSIDE: _absent,
    Reason.OVERLAP: _two_values,
    Reason.SWALLOWED: _two_values,
}
