"""Is every acknowledged write still there? Against the leader's log, or against what was read after
healing. Pure.

With a log: every acknowledged write stands in it exactly once (twice means that a retry was applied twice).
With final reads: an acknowledged put is lost on a key when it must have come after the value found at the
end: it was called after that value had certainly been current, and yet that value is there. Overwriting
hides losses, so write-once keys show most.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.order import Order
from kvsim.checks.consistency.picture import picture
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import (
    ABSENT,
    CAS,
    DELETE,
    DELETE_MISSED,
    GET,
    NEVER,
    OK,
    PUT,
    REFUSED,
)

NAME = "lost_writes"
ABOUT = "no acknowledged write is lost, and none is applied twice"
PICTURES_KEPT = 3
NO_PLACE = "acknowledged deletes and appends, which have no name in the log"
NO_FINAL = "writes of keys that nobody read at the end"
MAY_BE_HIDDEN = "writes that a later one may have replaced, so that the end does not tell"


def lost_writes(history: History, order: Order | None) -> Answer:
    """Judge all acknowledged writes: by the log where there is one, else by the final reads."""
    return _by_log(history, order) if order is not None else _by_final_reads(history)


def _by_log(history: History, order: Order) -> Answer:
    operations = history.operations
    findings: list[Finding] = []
    judged, unnamed = 0, 0
    for row, (kind, outcome) in enumerate(zip(operations.kind, operations.outcome, strict=True)):
        if outcome != OK or kind in (GET, DELETE_MISSED):
            continue
        if kind not in (PUT, CAS):
            unnamed += 1
            continue
        judged += 1
        times = len(order.writes.get((operations.key[row], operations.value[row]), ()))
        if times != 1:
            said = "is not in the leader's log" if times == 0 else f"is in the leader's log {times} times"
            findings.append(_finding(history, row, f"acknowledged {whom(operations, row)} {said}"))
    return answer(NAME, ABOUT, judged, findings, unit="acknowledged writes", unjudged={NO_PLACE: unnamed})


def _finding(history: History, row: int, message: str, drawn: str = "", also: Sequence[int] = ()) -> Finding:
    operation = history.operations.operation(row)
    rows = (row, *also)
    return Violation(message, node=operation.node or "", key=operation.key, rows=rows, picture=drawn)


def _by_final_reads(history: History) -> Answer:
    operations = history.operations
    finals = _finals(history)
    findings: list[Finding] = []
    judged, unjudged = 0, {NO_FINAL: 0, MAY_BE_HIDDEN: 0}
    for key, rows in operations.rows_by_key().items():
        puts = [row for row in rows if operations.kind[row] in (PUT, CAS) and operations.outcome[row] == OK]
        if key not in finals:
            unjudged[NO_FINAL] += len(puts)
            continue
        lost = set.intersection(*(set(lost_by_final_read(history, rows, final)) for final in finals[key]))
        present = [row for row in puts if operations.value[row] in finals[key]]
        judged += len(lost) + len(present)
        unjudged[MAY_BE_HIDDEN] += len(puts) - len(lost) - len(present)
        findings += [_lost(history, row, rows, finals[key], len(findings)) for row in sorted(lost)]
    return answer(NAME, ABOUT, judged, findings, unit="acknowledged writes", unjudged=unjudged)


def _finals(history: History) -> dict[int, set[int]]:
    """Key number → the value numbers that nodes gave for it at the end."""
    operations = history.operations
    finals: dict[int, set[int]] = defaultdict(set)
    for final in history.finals:
        finals[operations.keys.number(final.key)].add(operations.values.number(final.value))
    return finals


def lost_by_final_read(history: History, rows: Sequence[int], final: int) -> list[int]:
    """Rows of acknowledged puts of one key that must come after `final`, the value number found at the end.

    For "absent" at the end: those that no delete can have come after.
    """
    operations = history.operations
    settled = _settled_ns(history, rows, final)
    if settled is None:
        return []
    return [
        row
        for row in rows
        if operations.kind[row] in (PUT, CAS)
        and operations.outcome[row] == OK
        and operations.value[row] != final
        and operations.call_ns[row] > settled
    ]


def _settled_ns(history: History, rows: Sequence[int], final: int) -> int | None:
    """A put called later than this comes after `final`. None: the final value is of nobody, so nothing
    follows from it.
    """
    operations = history.operations
    if final == ABSENT:
        return _last_delete_ns(history, rows)
    ends: list[int] = []
    written = final == history.initial_number(operations.key[rows[0]])
    if written:
        return -NEVER
    for row in rows:
        if operations.value[row] != final or operations.outcome[row] == REFUSED:
            continue
        written |= operations.kind[row] in (PUT, CAS)
        if operations.outcome[row] == OK and operations.kind[row] in (PUT, CAS, GET):
            ends.append(operations.return_ns[row])
    if not written:
        return None
    return min(ends, default=NEVER)


def _last_delete_ns(history: History, rows: Sequence[int]) -> int:
    """When the last delete that may have happened was over."""
    operations = history.operations
    last = -NEVER
    for row in rows:
        if operations.kind[row] == DELETE and operations.outcome[row] != REFUSED:
            last = max(last, operations.return_ns[row] if operations.outcome[row] == OK else NEVER)
    return last


def _lost(history: History, row: int, rows: Sequence[int], finals: set[int], drawn: int) -> Finding:
    operations = history.operations
    values = [operations.values[value] for value in sorted(finals)]
    end = " and ".join("nothing" if value is None else repr(value) for value in values)
    proof = sorted(
        (other for other in rows if operations.value[other] in finals and operations.outcome[other] == OK),
        key=operations.return_ns.__getitem__,
    )[:1]
    text = picture(history, [*proof, row]) if drawn < PICTURES_KEPT else ""
    message = (
        f"acknowledged {whom(operations, row)} is lost: at the end the key holds {end}, which came before"
    )
    return _finding(history, row, message, text, proof)
