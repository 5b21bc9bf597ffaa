"""Is every operation answered while no fault lasts, and how soon after a fault? Pure.

An operation counts against the cluster when it has no answer (unknown), or when a node refused it
while it certainly was the leader; and no fault touched it: neither during it, nor within the
settling time before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from kvsim.checks.consistency.case import ConsistencyCheck
from kvsim.checks.consistency.masks import both, inverted, mask_of, rows_in
from kvsim.checks.consistency.result import (
    FINDINGS_MAX,
    ConsistencyResult,
    Violation,
    describe_request,
    make_result,
)
from kvsim.checks.consistency.role_periods import RolePeriods
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.history import FaultSpan, History
from kvsim.history.operations import (
    CHANGES_KEY,
    KINDS,
    NEVER,
    OK,
    READS,
    REFUSED,
    UNKNOWN,
    Operations,
)

ALL_KINDS = frozenset(range(len(KINDS)))
NOT_OK = frozenset({REFUSED, UNKNOWN})
# Without a demand for answers, these many without one make it unknown whether the store serves.
UNANSWERED_MIN, UNANSWERED_SHARE = 20, 0.05
NAME = "available"
ABOUT = "operations are answered while no fault lasts"
RECOVERS_NAME = "recovers"
RECOVERS_ABOUT = "reads and writes are served again soon after a fault has ended"


def available(
    history: History, settle_ns: int = 1_000_000_000, *, answers_demanded: bool = True
) -> ConsistencyResult:
    """Judge every operation that no fault touched, until `settle_ns` after its end.

    Without `answers_demanded`, an operation without an answer is no violation: the machine may be
    slow. Only when they are many (UNANSWERED_SHARE) it is unknown whether the store serves.
    """
    operations, roles = history.operations, RolePeriods(history.samples)
    faults = [(fault.began_ns, fault.ended_ns + settle_ns) for fault in history.faults]
    touched = _Periods([*faults, *history.gaps]).touched(operations)
    untouched = inverted(touched)
    findings: list[Finding] = []
    found = refused = unanswered = 0
    for row in rows_in(both(untouched, mask_of(operations, ALL_KINDS, NOT_OK))):
        if operations.outcome[row] == UNKNOWN and not answers_demanded:
            unanswered += 1
            continue
        if not _is_unserved(history, roles, row):
            refused += 1
            continue
        found += 1
        if found <= FINDINGS_MAX:
            message = f"{describe_request(operations, row)} was not served although no fault lasted"
            node = operations.operation(row).node or ""
            findings.append(Violation(message, node=node, rows=(row,)))
    judged = untouched.count(1) - refused - unanswered
    if unanswered >= UNANSWERED_MIN and unanswered > UNANSWERED_SHARE * untouched.count(1):
        share = f"{unanswered} of {untouched.count(1)} operations"
        text = f"{share} got no answer although no fault lasted"
        findings.append(Finding(text, verdict=Verdict.UNKNOWN))
        found += 1
    unjudged = {
        "operations without an answer, which a slow machine explains": unanswered,
        "operations that a fault touched": touched.count(1),
        "operations that a node refused which may refuse them": refused,
    }
    return make_result(NAME, ABOUT, judged, findings, unjudged=unjudged, found=found)


def _is_unserved(history: History, roles: RolePeriods, row: int) -> bool:
    operations = history.operations
    if operations.outcome[row] == UNKNOWN:
        return True
    if operations.outcome[row] != REFUSED:
        return False
    operation = operations.operation(row)
    period = roles.covering(operation.node, operation.call_ns, operations.return_ns[row])
    return period is not None and period.role == "leader"


class _Periods:
    """Periods, each a begin and an end, as disjoint ones."""

    def __init__(self, periods: Sequence[tuple[int, int]]) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []
        for begin, end in sorted(periods):
            if self.ends and begin <= self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.begins.append(begin)
                self.ends.append(end)

    def touched(self, operations: Operations) -> bytes:
        """1 for each row whose operation lasted into a period, or began in one."""
        if not self.begins:
            return bytes(len(operations))
        return bytes(map(self._touch, operations.call_ns, operations.return_ns))

    def _touch(self, begin: int, end: int) -> bool:
        at = bisect_right(self.begins, end) - 1
        return at >= 0 and self.ends[at] >= begin


def recovers(history: History, limit_ns: int | None = None) -> ConsistencyResult:
    """Judge the end of every fault: how long until the first write, and the first read, is served?

    A time in which the clients did not run is not counted. Operations called before the end do not
    count. Without `limit_ns` this only measures.
    """
    kinds = {"write": CHANGES_KEY, "read": READS} if history.faults else {}
    served = {name: _served(history, wanted) for name, wanted in kinds.items()}
    findings: list[Finding] = []
    judged, without_operations, slowest = 0, 0, 0
    for fault in history.faults:
        for name, times in served.items():
            took = _recovery_ns(times, fault.ended_ns)
            if took is None:
                without_operations += 1
                continue
            if took != NEVER:
                took -= _gap_ns(history, fault.ended_ns, fault.ended_ns + took)
            judged, slowest = judged + 1, max(slowest, took)
            if limit_ns is not None and took > limit_ns:
                findings.append(Violation(_too_slow(fault, name, took, limit_ns)))
    slowest_ms = None if slowest == NEVER else slowest / 1e6
    return make_result(
        RECOVERS_NAME,
        RECOVERS_ABOUT,
        judged,
        findings,
        unit="recoveries",
        unjudged={"ends of faults after which no operation was called": without_operations},
        measured={"slowest recovery ms": slowest_ms} if judged else {},
    )


def _gap_ns(history: History, begin_ns: int, end_ns: int) -> int:
    """How long the clients did not run in a period."""
    parts = (min(end, end_ns) - max(begin, begin_ns) for begin, end in history.gaps)
    return sum(part for part in parts if part > 0)


def _too_slow(fault: FaultSpan, name: str, took_ns: int, limit_ns: int) -> str:
    served = (
        "was never served again"
        if took_ns == NEVER
        else f"was served only {took_ns / 1e6:.0f} ms later"
    )
    return f"after {fault.name} had ended, a {name} {served}; {limit_ns / 1e6:g} ms are allowed"


def _served(history: History, wanted: frozenset[int]) -> list[tuple[int, int]]:
    """(call, return) of the operations of some kinds, by call; NEVER for the unserved ones."""
    operations = history.operations
    return sorted(
        (
            operations.call_ns[row],
            operations.return_ns[row] if operations.outcome[row] == OK else NEVER,
        )
        for row in range(len(operations))
        if operations.kind[row] in wanted
    )


def _recovery_ns(times: list[tuple[int, int]], ended_ns: int) -> int | None:
    """From the end of a fault to the first answer to an operation called after it.

    NEVER when none was served, None when none was called.
    """
    later = times[bisect_right(times, (ended_ns, -1)) :]
    if not later:
        return None
    first = min(returned for _, returned in later)
    return NEVER if first == NEVER else first - ended_ns


AVAILABLE = ConsistencyCheck(
    NAME,
    lambda case: available(
        case.history, case.options.settle_ns, answers_demanded=not case.options.leader_serves
    ),
    order=100,
    demanded=lambda case: case.options.available or case.options.leader_serves,
    subject=Subject.FAILOVER,
)
RECOVERS = ConsistencyCheck(
    RECOVERS_NAME,
    lambda case: recovers(case.history, case.options.recover_within_ns),
    order=110,
    demanded=lambda case: case.options.recover_within_ns is not None,
    subject=Subject.FAILOVER,
)
