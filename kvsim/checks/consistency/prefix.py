"""Do the reads of each node walk forward along the leader's order, over all keys together? Pure.

There must be moments inside the reads' windows, and positions that never decrease with them, so that each
read shows the state at its position. One sweep a node over calls and returns, each read at the smallest
position that fits: exact, because every constraint is a lower bound. A node that was killed or restarted
starts anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.order import Order
from kvsim.checks.consistency.picture import picture
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, DELETE_MISSED, GET, NOWHERE, OK

NAME = "prefix"
ABOUT = "each node's reads show ever longer prefixes of the leader's order, all keys together"
NEW_LIFE = frozenset(
    {"kill", "restart", "crash", "disk"}
)  # faults after which a node may have to catch up again
PICTURES_KEPT = 3
LOG_LACKS = "reads of a value that the log does not have"


def prefix(history: History, order: Order, rows: Sequence[int] | None = None) -> Answer:
    """Judge the answered reads among `rows` (None: all) that tell their node."""
    findings: list[Finding] = []
    judged, unjudged = 0, {LOG_LACKS: 0, "reads whose node is not known": 0}
    for node, reads in _reads_by_node(history, rows).items():
        if node == NOWHERE:
            unjudged["reads whose node is not known"] += len(reads)
            continue
        known = [row for row in reads if order.first(*_seen(history, row)) is not None]
        unjudged[LOG_LACKS] += len(reads) - len(known)
        judged += len(known)
        findings += _sweep(history, order, node, known)
    return answer(NAME, ABOUT, judged, findings, unit="reads", unjudged=unjudged)


def _reads_by_node(history: History, rows: Sequence[int] | None) -> dict[int, list[int]]:
    operations = history.operations
    found: dict[int, list[int]] = {}
    for row in range(len(operations)) if rows is None else rows:
        if operations.outcome[row] == OK and operations.kind[row] in (GET, DELETE_MISSED):
            found.setdefault(operations.node[row], []).append(row)
    return found


def _seen(history: History, row: int) -> tuple[int, int]:
    operations = history.operations
    value = ABSENT if operations.kind[row] == DELETE_MISSED else operations.value[row]
    return operations.key[row], value


CALL, RETURN, REBORN = 1, 2, 0


def _sweep(history: History, order: Order, node: int, reads: list[int]) -> list[Finding]:
    """Reads of one node for which no position fits any more."""
    operations = history.operations
    events = [(operations.call_ns[row], CALL, row) for row in reads]
    events += [(operations.return_ns[row], RETURN, row) for row in reads]
    events += [(time, REBORN, -1) for time in _rebirths(history, node)]
    events.sort()
    floor, because, life = 0, -1, 0
    place: dict[int, tuple[int, int]] = {}
    findings: list[Finding] = []
    for _, what, row in events:
        if what == REBORN:
            floor, because, life = 0, -1, life + 1
        elif what == CALL:
            fits = order.first(*_seen(history, row), floor)
            if fits is None:
                fits = order.first(*_seen(history, row)) or 0
                findings.append(_violation(history, row, fits, because, floor, draw=len(findings)))
            place[row] = (fits, life)
        else:
            reached, born = place[row]
            if born == life and reached > floor:
                floor, because = reached, row
    return findings


def _rebirths(history: History, node: int) -> list[int]:
    name = history.operations.nodes[node]
    spans = [fault for fault in history.faults if fault.kind in NEW_LIFE and name in fault.nodes]
    return [time for fault in spans for time in (fault.began_ns, fault.ended_ns)]


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
