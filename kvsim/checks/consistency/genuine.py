"""Was every value that any node showed really written, and not before its write began? No promise allows
less. Pure.
"""

from __future__ import annotations

from kvsim.checks.consistency.answer import Answer, Violation, answer, name_operation, whom
from kvsim.checks.consistency.picture import picture
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MET, GET, OK, PUT, REFUSED

NAME = "genuine_reads"
ABOUT = (
    "every value that was read had been written, or may have been: not refused, and not read before its write"
)
APPENDED = "reads of keys with appends"
SHOWS = frozenset({GET, CAS_MET})
PICTURES_KEPT = 3


def genuine_reads(history: History) -> Answer:
    """Judge every answered get of every node that showed a value, and every compare-and-set that was told what it met."""
    operations = history.operations
    appended = {key for key, kind in zip(operations.key, operations.kind, strict=True) if kind == APPEND}
    writes = _earliest_writes(history)
    findings: list[Finding] = []
    judged, skipped = 0, 0
    columns = zip(operations.kind, operations.outcome, operations.value, operations.key, strict=True)
    for row, (kind, outcome, value, key) in enumerate(columns):
        if kind not in SHOWS or outcome != OK or value == ABSENT:
            continue
        if key in appended:
            skipped += 1
            continue
        judged += 1
        write = writes.get((key, value))
        said = None if value == history.initial_number(key) else _objection(history, row, write)
        if said:
            rows = (row,) if write is None else (write, row)
            drawn = picture(history, rows) if len(findings) < PICTURES_KEPT else ""
            operation = operations.operation(row)
            findings.append(
                Violation(said, "", operation.node or "", key=operation.key, rows=rows, picture=drawn)
            )
    return answer(NAME, ABOUT, judged, findings, unit="reads", unjudged={APPENDED: skipped})


def _earliest_writes(history: History) -> dict[tuple[int, int], int]:
    """(key, value) → the row of its earliest write, one that was not refused if there is any."""
    operations = history.operations
    found: dict[tuple[int, int], int] = {}
    for row, kind in enumerate(operations.kind):
        if kind in (PUT, CAS):
            what = operations.key[row], operations.value[row]
            known = found.get(what)
            if known is None or _rank(history, row) < _rank(history, known):
                found[what] = row
    return found


def _rank(history: History, row: int) -> tuple[bool, int]:
    return history.operations.outcome[row] == REFUSED, history.operations.call_ns[row]


def _objection(history: History, row: int, write: int | None) -> str | None:
    operations = history.operations
    if write is None:
        return f"{whom(operations, row)}, but nobody wrote that value"
    if operations.outcome[write] == REFUSED:
        return f"{whom(operations, row)}, but that write was refused: {whom(operations, write)}"
    if operations.return_ns[row] < operations.call_ns[write]:
        return f"{whom(operations, row)} returned before {name_operation(operations, write)} began"
    return None
