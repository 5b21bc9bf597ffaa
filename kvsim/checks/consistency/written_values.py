"""Was every value that a node showed really written, and not read before its write began?

No guarantee allows less. Pure.
"""

from __future__ import annotations

from itertools import compress

from kvsim.checks.consistency.ascii_timeline import draw_first_timelines
from kvsim.checks.consistency.case import ConsistencyCheck
from kvsim.checks.consistency.masks import (
    ANY_OUTCOME,
    both,
    inverted,
    mask_of,
    mask_of_keys,
    rows_in,
    shown_values,
)
from kvsim.checks.consistency.result import (
    ConsistencyResult,
    Violation,
    describe_operation,
    describe_request,
    make_result,
)
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import (
    APPEND,
    REFUSED,
    SHOWS_VALUE,
    WRITES_WHOLE_VALUE,
)

NAME = "read_values_were_written"
ABOUT = (
    "every value that was read had been written, or may have been: "
    "not refused, and not read before its write"
)
APPENDED = "reads of keys with appends"


def read_values_were_written(history: History, one_copy: bytes = b"") -> ConsistencyResult:
    """Judge every answered get that showed a value, and every compare-and-set that met one.

    `one_copy` has a byte a key number, not 0 for keys that are linearizable as one copy. There the
    answer follows: in an order that explains a read its value was written before it, or was there
    from the start, and real time fits that order; a refused write is in no order.
    """
    operations = history.operations
    reads = both(mask_of(operations, SHOWS_VALUE), shown_values(operations))
    appended = {*compress(operations.key, mask_of(operations, frozenset({APPEND}), ANY_OUTCOME))}
    judged, skipped = reads.count(1), 0
    if appended:
        skipped = sum(map(appended.__contains__, compress(operations.key, reads)))
    others = mask_of_keys(operations, inverted(one_copy or bytes(len(operations.keys))))
    findings: list[Finding] = []
    reads = both(reads, others)
    writes = _earliest_writes(history, others) if 1 in reads else {}
    keys, values = operations.key, operations.value
    for row in rows_in(reads):
        key, value = keys[row], values[row]
        write = writes.get((key, value))
        if key in appended or _is_sound(history, row, write):
            continue
        if value == history.initial_number(key):
            continue
        rows = (row,) if write is None else (write, row)
        operation = operations.operation(row)
        findings.append(
            Violation(
                _problem(history, row, write),
                node=operation.node or "",
                key=operation.key,
                rows=rows,
                timeline=draw_first_timelines(history, rows, len(findings)),
            )
        )
    return make_result(
        NAME, ABOUT, judged - skipped, findings, unit="reads", unjudged={APPENDED: skipped}
    )


def _earliest_writes(history: History, mask: bytes) -> dict[tuple[int, int], int]:
    """(key, value) → the row of its earliest write in `mask`, one that was not refused if there is
    any.
    """
    operations = history.operations
    keys, values = operations.key, operations.value
    found: dict[tuple[int, int], int] = {}
    for row in rows_in(both(mask, mask_of(operations, WRITES_WHOLE_VALUE, ANY_OUTCOME))):
        written = keys[row], values[row]
        known = found.setdefault(written, row)
        if known != row and _rank(history, row) < _rank(history, known):
            found[written] = row
    return found


def _rank(history: History, row: int) -> tuple[bool, int]:
    return history.operations.outcome[row] == REFUSED, history.operations.call_ns[row]


def _is_sound(history: History, row: int, write: int | None) -> bool:
    """May the read at `row` show what the row `write` wrote?"""
    operations = history.operations
    return (
        write is not None
        and operations.outcome[write] != REFUSED
        and operations.return_ns[row] >= operations.call_ns[write]
    )


def _problem(history: History, row: int, write: int | None) -> str:
    operations = history.operations
    request = describe_request(operations, row)
    if write is None:
        return f"{request}, but no client wrote that value"
    if operations.outcome[write] == REFUSED:
        return f"{request}, but that write was refused: {describe_request(operations, write)}"
    return f"{request} returned before {describe_operation(operations, write)} began"


READ_VALUES_WERE_WRITTEN = ConsistencyCheck(
    NAME,
    lambda case: read_values_were_written(case.history, case.one_copy),
    order=20,
    demanded=lambda case: True,
)
