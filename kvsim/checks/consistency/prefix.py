"""Consistent prefix: do each node's reads go forward along the leader's order, over all keys? Pure.

There must be instants inside the reads' windows, and positions that never decrease with them, such
that each read shows the state at its position. One sweep a node over calls and returns puts each
read at the smallest position that fits: exact, because every constraint is a lower bound. A node
that was killed or restarted may start again at an earlier position.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsim.checks.consistency.ascii_timeline import draw_first_timelines
from kvsim.checks.consistency.incarnations import Incarnations
from kvsim.checks.consistency.leader_log import LeaderLog
from kvsim.checks.consistency.result import (
    NEVER_WRITTEN,
    NO_INCARNATION,
    ConsistencyResult,
    Violation,
    describe_request,
    make_result,
)
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import NOWHERE, OK, READS

NAME = "prefix"
ABOUT = "each node's reads show ever longer prefixes of the leader's order, all keys together"
NOT_IN_LOG = "reads of a value that the log does not have"


def prefix(
    history: History, log: LeaderLog, rows: Sequence[int] | None = None
) -> ConsistencyResult:
    """Judge the answered reads among `rows` (None: all) whose node is known."""
    findings: list[Finding] = []
    judged, unjudged = 0, {NOT_IN_LOG: 0, NEVER_WRITTEN: 0, NO_INCARNATION: 0}
    for all_reads in _reads_by_incarnation(history, rows, unjudged).values():
        reads = [row for row in all_reads if history.operations.key[row] in log.of_key]
        unjudged[NEVER_WRITTEN] += len(all_reads) - len(reads)
        known = [row for row in reads if log.first_position(*_shown(history, row)) is not None]
        unjudged[NOT_IN_LOG] += len(reads) - len(known)
        its_findings, its_judged = _sweep(history, log, known, len(findings))
        findings += its_findings
        judged += its_judged
    return make_result(NAME, ABOUT, judged, findings, unit="reads", unjudged=unjudged)


def _reads_by_incarnation(
    history: History, rows: Sequence[int] | None, unjudged: dict[str, int]
) -> dict[tuple[int, int], list[int]]:
    operations, incarnations = history.operations, Incarnations(history)
    found: dict[tuple[int, int], list[int]] = {}
    for row in range(len(operations)) if rows is None else rows:
        if operations.outcome[row] == OK and operations.kind[row] in READS:
            node = operations.node[row]
            number = incarnations.of(node, operations.call_ns[row], operations.return_ns[row])
            if node == NOWHERE or number is None:
                unjudged[NO_INCARNATION] += 1
            else:
                found.setdefault((node, number), []).append(row)
    return found


def _shown(history: History, row: int) -> tuple[int, int]:
    """The key and the value that a read showed."""
    operations = history.operations
    return operations.key[row], operations.value[row]


CALL, RETURN = 0, 1


def _sweep(
    history: History, log: LeaderLog, reads: list[int], findings_before: int
) -> tuple[list[Finding], int]:
    """Findings about one incarnation's reads, and how many reads were judged.

    A finding is a read for which no position fits any more. A read is judged when it was called
    after another one had returned.
    """
    operations = history.operations
    events = [(operations.call_ns[row], CALL, row) for row in reads]
    events += [(operations.return_ns[row], RETURN, row) for row in reads]
    events.sort()
    floor, floor_row, judged, returned = 0, -1, 0, False
    position: dict[int, int] = {}
    findings: list[Finding] = []
    for _, event, row in events:
        if event == CALL:
            judged += returned
            fitting = log.first_position(*_shown(history, row), floor)
            if fitting is None:
                fitting = log.first_position(*_shown(history, row)) or 0
                number = findings_before + len(findings)
                rows = (floor_row, row)
                findings.append(_violation(history, rows, (floor, fitting), number))
            position[row] = fitting
        else:
            returned = True
            if position[row] > floor:
                floor, floor_row = position[row], row
    return findings, judged


def _violation(
    history: History, rows: tuple[int, int], positions: tuple[int, int], number: int
) -> Finding:
    """`rows` are the read that set the bound and the one below it, parallel to `positions`."""
    operations, (before, row), (floor, position) = history.operations, rows, positions
    operation = operations.operation(row)
    message = (
        f"{describe_request(operations, row)} shows position {position} of the leader's log "
        f"at best, but an earlier {describe_request(operations, before)} "
        f"had shown position {floor}"
    )
    return Violation(
        message,
        node=operation.node or "",
        key=operation.key,
        rows=rows,
        positions=positions,
        timeline=draw_first_timelines(history, rows, number),
    )
