"""Do the reads of each node walk forward along the leader's order, over all keys together? Pure.

There must be moments inside the reads' windows, and positions that never decrease with them, so that each
read shows the state at its position. One sweep a node over calls and returns, each read at the smallest
position that fits: exact, because every constraint is a lower bound. A node that was killed or restarted
starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.lives import Lives
from kvsim.checks.consistency.order import Order
from kvsim.checks.consistency.picture import picture
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, DELETE_MISSED, GET, NOWHERE, OK

NAME = "prefix"
ABOUT = "each node's reads show ever longer prefixes of the leader's order, all keys together"
PICTURES_KEPT = 3
LOG_LACKS = "reads of a value that the log does not have"
NEVER_WRITTEN = "operations on keys that nobody wrote"
NO_LIFE = "reads whose node is not known, or that a kill or restart of it fell into"


def prefix(history: History, order: Order, rows: Sequence[int] | None = None) -> Answer:
    """Judge the answered reads among `rows` (None: all) that tell their node."""
    findings: list[Finding] = []
    judged, unjudged = 0, {LOG_LACKS: 0, NEVER_WRITTEN: 0, NO_LIFE: 0}
    for all_reads in _reads_by_life(history, rows, unjudged).values():
        reads = [row for row in all_reads if history.operations.key[row] in order.of_key]
        unjudged[NEVER_WRITTEN] += len(all_reads) - len(reads)
        known = [row for row in reads if order.first(*_seen(history, row)) is not None]
        unjudged[LOG_LACKS] += len(reads) - len(known)
        its_findings, its_judged = _sweep(history, order, known, len(findings))
        findings += its_findings
        judged += its_judged
    return answer(NAME, ABOUT, judged, findings, unit="reads", unjudged=unjudged)


def _reads_by_life(
    history: History, rows: Sequence[int] | None, unjudged: dict[str, int]
) -> dict[tuple[int, int], list[int]]:
    operations, lives = history.operations, Lives(history)
    found: dict[tuple[int, int], list[int]] = {}
    for row in range(len(operations)) if rows is None else rows:
        if operations.outcome[row] == OK and operations.kind[row] in (GET, DELETE_MISSED):
            node = operations.node[row]
            life = lives.of(node, operations.call_ns[row], operations.return_ns[row])
            if node == NOWHERE or life is None:
                unjudged[NO_LIFE] += 1
            else:
                found.setdefault((node, life), []).append(row)
    return found


def _seen(history: History, row: int) -> tuple[int, int]:
    operations = history.operations
    value = ABSENT if operations.kind[row] == DELETE_MISSED else operations.value[row]
    return operations.key[row], value


CALL, RETURN = 0, 1


def _sweep(history: History, order: Order, reads: list[int], drawn: int) -> tuple[list[Finding], int]:
    """Reads of one life of a node for which no position fits any more, and how many were asked for after
    another one had been answered.
    """
    operations = history.operations
    events = [(operations.call_ns[row], CALL, row) for row in reads]
    events += [(operations.return_ns[row], RETURN, row) for row in reads]
    events.sort()
    floor, because, bound, done = 0, -1, 0, False
    place: dict[int, int] = {}
    findings: list[Finding] = []
    for _, what, row in events:
        if what == CALL:
            bound += done
            fits = order.first(*_seen(history, row), floor)
            if fits is None:
                fits = order.first(*_seen(history, row)) or 0
                draw = drawn + len(findings)
                findings.append(_violation(history, row, fits, because, floor, draw=draw))
            place[row] = fits
        else:
            done = True
            if place[row] > floor:
                floor, because = place[row], row
    return findings, bound


def _violation(history: History, row: int, place: int, because: int, floor: int, *, draw: int) -> Finding:
    operations = history.operations
    operation = operations.operation(row)
    message = (
        f"{whom(operations, row)} shows position {place} of the leader's log at best, but an earlier "
        f"{whom(operations, because)} had shown position {floor}"
    )
    rows = (because, row)
    drawn = picture(history, rows) if draw < PICTURES_KEPT else ""
    return Violation(
        message,
        node=operation.node or "",
        key=operation.key,
        rows=rows,
        positions=(floor, place),
        picture=drawn,
    )
