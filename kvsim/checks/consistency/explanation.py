"""Why a key is not linearizable, in one sentence about the few operations that prove it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from kvsim.checks.consistency.result import (
    describe_operation,
    describe_request,
    describe_value,
)
from kvsim.checks.linearizability.decision import ViolationReason
from kvsim.history.operations import (
    ABSENT,
    CAS,
    CAS_MET,
    DELETE,
    GET,
    NEVER,
    PUT,
    READS,
    REFUSED,
    UNKNOWN,
    WRITES_WHOLE_VALUE,
    Operations,
)
from kvsim.text import plural

# Writes of an order, one after the other, that are named although their time does not matter.
OTHER_WRITES_MAX = 2
# Values that a key may hold where an operation may happen, all of which are named.
STATES_MAX = 4
REPLACES_VALUE = WRITES_WHOLE_VALUE | {DELETE}


class Contradiction(Struct, frozen=True):
    """Rows of contradictory operations in call order, and the reason that shows in them.

    `blocked` is the row of the operation that cannot happen (None: not known). `order` explains the
    others (empty: there are none, or it is not known); rows in it that are not in `rows` are
    writes whose time does not matter. Where `blocked` may happen in it, the key has one of
    `states`. The contradiction holds even when `relaxed` other writes happened at any time, or
    never; with `before`, at any time before they returned, or never.
    """

    rows: tuple[int, ...]
    reason: ViolationReason
    blocked: int | None = None
    order: tuple[int, ...] = ()
    states: tuple[str | None, ...] = ()
    relaxed: int = 0
    before: bool = False


def explain(operations: Operations, proof: Contradiction) -> str:
    """One sentence about a contradiction."""
    text = _stale_read(operations, proof.rows)
    if text is None:
        text = EXPLANATIONS.get(proof.reason, _general)(operations, proof)
    return text + _relaxed(proof)


def _relaxed(proof: Contradiction) -> str:
    if not proof.relaxed:
        return ""
    writes = plural(proof.relaxed, "other write")
    when = "at any time"
    if proof.before:
        writes += " that began before it returned"
        when += " before they returned"
    return f" (even if {writes} had happened {when}, or never)"


def _stale_read(operations: Operations, rows: Sequence[int]) -> str | None:
    """The most frequent pattern: put(a), then put(b), then a read that still shows a.

    A read of a or of b stands for its put as well.
    """
    if len(rows) != 3:
        return None
    old, new, read = rows
    kind, value, call = operations.kind, operations.value, operations.call_ns
    if kind[old] not in WRITES_WHOLE_VALUE | READS or kind[new] not in REPLACES_VALUE | READS:
        return None
    if kind[read] not in READS or not value[new] != value[read] == value[old]:
        return None
    if operations.outcome[new] == UNKNOWN:
        return None
    if not _end(operations, old) < call[new] or not _end(operations, new) < call[read]:
        return None
    return (
        f"stale read: {describe_request(operations, read)} "
        f"began after {describe_operation(operations, new)} had completed, "
        f"and that began after {describe_operation(operations, old)} had completed"
    )


def _end(operations: Operations, row: int) -> int:
    return NEVER if operations.outcome[row] == UNKNOWN else operations.return_ns[row]


def _never_written(operations: Operations, proof: Contradiction) -> str:
    if operations.kind[proof.rows[0]] not in READS:
        return _general(operations, proof)
    return f"{describe_request(operations, proof.rows[0])}, but no client wrote that value"


def _refused(operations: Operations, proof: Contradiction) -> str:
    read = next(row for row in proof.rows if operations.outcome[row] != REFUSED)
    writes = [row for row in proof.rows if row != read]
    refused = f": {describe_request(operations, writes[0])}" if writes else ""
    request = describe_request(operations, read)
    return f"{request}, but the write of that value was refused{refused}"


def _too_early(operations: Operations, proof: Contradiction) -> str:
    """A read or compare-and-set that returned before what it found can have been written."""
    first = min(proof.rows, key=lambda row: _end(operations, row))
    last = max(proof.rows, key=lambda row: operations.call_ns[row])
    found = operations.expected if operations.kind[first] == CAS else operations.value
    if (
        len(proof.rows) != 2
        or operations.kind[last] not in WRITES_WHOLE_VALUE
        or operations.value[last] != found[first]
    ):
        return _general(operations, proof)
    return (
        f"{describe_request(operations, first)} returned before "
        f"{describe_request(operations, last)} began, on which it depends"
    )


def _two_values(operations: Operations, proof: Contradiction) -> str:
    """Two values whose periods exclude each other: what bounds each."""
    groups: dict[int, list[int]] = {}
    for row in proof.rows:
        groups.setdefault(operations.value[row], []).append(row)
    written = {operations.value[row] for row in proof.rows if operations.kind[row] == PUT}
    plain = all(operations.kind[row] in (PUT, GET, CAS_MET) for row in proof.rows)
    if not plain or len(groups) != 2 or written != groups.keys() or ABSENT in groups:
        return _general(operations, proof)
    periods = [_period(operations, rows) for rows in groups.values()]
    return f"{proof.reason.value}: " + "; but ".join(periods)


def _period(operations: Operations, rows: Sequence[int]) -> str:
    value = operations.values[operations.value[rows[0]]]
    first = min(rows, key=lambda row: _end(operations, row))
    last = max(rows, key=lambda row: operations.call_ns[row])
    if _end(operations, first) < operations.call_ns[last]:
        begin, end = describe_operation(operations, first), describe_operation(operations, last)
        return f"{value!r} was current at least from the return of {begin} to the call of {end}"
    names = ", ".join(describe_operation(operations, row) for row in rows)
    return f"all of {names} happened meanwhile"


def _absent(operations: Operations, proof: Contradiction) -> str:
    """A value that was there, and a read that did not find it."""
    last = max(proof.rows, key=lambda row: operations.call_ns[row])
    first = min(proof.rows, key=lambda row: operations.call_ns[row])
    if (
        len(proof.rows) != 2
        or operations.kind[last] not in READS
        or not _end(operations, first) < operations.call_ns[last]
    ):
        return _general(operations, proof)
    return (
        f"{describe_request(operations, last)} began after "
        f"{describe_operation(operations, first)} had completed, "
        "and no delete can explain that it found nothing"
    )


def _general(operations: Operations, proof: Contradiction) -> str:
    """The operation that cannot happen, an order of the others, and the states it could meet."""
    if proof.blocked is None:
        names = ", ".join(describe_operation(operations, row) for row in proof.rows)
        return f"no order explains these {len(proof.rows)} operations: {names}"
    request = describe_request(operations, proof.blocked)
    if not proof.states:
        others = [row for row in proof.rows if row != proof.blocked]
        names = ", ".join(describe_operation(operations, row) for row in others)
        return f"{request} cannot be placed, whichever order the others have: {names}"
    states = _states(proof.states)
    if not proof.order:
        return f"{request} cannot be placed: when it happens, the key holds {states}"
    order = ", ".join(_steps(operations, proof))
    return (
        f"{request} cannot be placed: the longest order that works is {order}; "
        f"where it may happen in it, the key holds {states}"
    )


def _states(states: Sequence[str | None]) -> str:
    """What the key may hold: every value, or the first and the last of many."""
    texts = list(dict.fromkeys(map(describe_value, states)))
    if len(texts) > STATES_MAX:
        others = plural(len(texts) - 2, "other value")
        texts = [texts[0], f"one of {others}", texts[-1]]
    return " or ".join(texts)


def _steps(operations: Operations, proof: Contradiction) -> Iterator[str]:
    """The order as text. Of writes whose time does not matter, only what they do."""
    for others, rows in groupby(proof.order, lambda row: row not in proof.rows):
        texts = [describe_operation(operations, row) for row in rows]
        if others and len(texts) > OTHER_WRITES_MAX:
            yield plural(len(texts), "other write")
        else:
            yield from (f"some {text}" if others else text for text in texts)


EXPLANATIONS: dict[ViolationReason, Callable[[Operations, Contradiction], str]] = {
    ViolationReason.NEVER_WRITTEN: _never_written,
    ViolationReason.REFUSED_WRITE: _refused,
    ViolationReason.READ_TOO_EARLY: _too_early,
    ViolationReason.CAS_TOO_EARLY: _too_early,
    ViolationReason.ABSENT_UNEXPLAINED: _absent,
    ViolationReason.ABSENT_INSIDE: _absent,
    ViolationReason.OVERLAP: _two_values,
    ViolationReason.SWALLOWED: _two_values,
}
