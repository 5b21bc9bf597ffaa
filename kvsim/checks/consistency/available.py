"""Is every operation answered while no fault lasts, and how soon after a fault is everything served again?
Pure.

An operation counts against the cluster when it has no answer (unknown), or when a node refused a write
while it certainly was the leader, and no fault touched it: neither during it nor within the settling time
before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.leader_only import WRITES
from kvsim.checks.consistency.roles import Roles
from kvsim.checks.verdict import Finding
from kvsim.history.history import FaultSpan, History
from kvsim.history.operations import GET, NEVER, OK, REFUSED, UNKNOWN

NAME = "available"
ABOUT = "operations are answered while no fault lasts"
RECOVERS_NAME = "recovers"
RECOVERS_ABOUT = "reads and writes are served again soon after a fault has ended"


def available(history: History, settle_ns: int = 1_000_000_000) -> Answer:
    """Judge every operation that no fault touched; `settle_ns` is how long a fault's end still counts as
    fault.
    """
    operations, roles = history.operations, Roles(history.samples)
    shadow = _Shadow(history.faults, settle_ns)
    findings: list[Finding] = []
    judged, touched, declined = 0, 0, 0
    for row in range(len(operations)):
        if shadow.touches(operations.call_ns[row], operations.return_ns[row]):
            touched += 1
            continue
        unserved = _unserved(history, roles, row)
        if operations.outcome[row] == REFUSED and not unserved:
            declined += 1
            continue
        judged += 1
        if unserved:
            message = f"{whom(operations, row)} was not served although no fault lasted"
            findings.append(Violation(message, node=operations.operation(row).node or "", rows=(row,)))
    unjudged = {
        "operations that a fault touched": touched,
        "operations refused by whom may refuse them": declined,
    }
    return answer(NAME, ABOUT, judged, findings, unjudged=unjudged)


def _unserved(history: History, roles: Roles, row: int) -> bool:
    operations = history.operations
    if operations.outcome[row] == UNKNOWN:
        return True
    if operations.outcome[row] != REFUSED or operations.kind[row] not in WRITES:
        return False
    operation = operations.operation(row)
    tenure = roles.throughout(operation.node, operation.call_ns, operations.return_ns[row])
    return tenure is not None and tenure.role == "leader"


class _Shadow:
    """The time that faults cover, settling included, as disjoint spans."""

    def __init__(self, faults: Sequence[FaultSpan], settle_ns: int) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []
        for fault in sorted(faults, key=lambda fault: fault.began_ns):
            end = fault.ended_ns + settle_ns
            if self.ends and fault.began_ns <= self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.begins.append(fault.began_ns)
                self.ends.append(end)

    def touches(self, begin: int, end: int) -> bool:
        at = bisect_right(self.begins, end) - 1
        return at >= 0 and self.ends[at] >= begin


def recovers(history: History, limit_ns: int | None = None) -> Answer:
    """Judge the end of every fault: when was the first write, and the first read, called after it and served?"""
    kinds = {"write": WRITES, "read": frozenset({GET})} if history.faults else {}
    served = {what: _served(history, wanted) for what, wanted in kinds.items()}
    findings: list[Finding] = []
    judged, untried, slowest = 0, 0, 0
    for fault in history.faults:
        for what, times in served.items():
            took = _recovery_ns(times, fault.ended_ns)
            if took is None:
                untried += 1
                continue
            judged, slowest = judged + 1, max(slowest, took)
            if limit_ns is not None and took > limit_ns:
                said = (
                    "was never served again"
                    if took == NEVER
                    else f"was served only {took / 1e6:.0f} ms later"
                )
                findings.append(
                    Violation(
                        f"after {fault.name} had ended, a {what} {said}; {limit_ns / 1e6:g} ms are allowed"
                    )
                )
    measured = {"slowest recovery ms": None if slowest == NEVER else slowest / 1e6} if judged else {}
    unjudged = {"ends of faults after which nobody tried": untried}
    return answer(
        RECOVERS_NAME,
        RECOVERS_ABOUT,
        judged,
        findings,
        unit="recoveries",
        unjudged=unjudged,
        measured=measured,
    )


def _served(history: History, wanted: frozenset[int]) -> list[tuple[int, int]]:
    """(call, answer) of operations of the wanted kinds by call; the answer is NEVER when it was not served."""
    operations = history.operations
    found = [
        (operations.call_ns[row], operations.return_ns[row] if operations.outcome[row] == OK else NEVER)
        for row in range(len(operations))
        if operations.kind[row] in wanted
    ]
    found.sort()
    return found


def _recovery_ns(times: list[tuple[int, int]], ended_ns: int) -> int | None:
    """From the end of a fault to the first answer to an operation called after it; None when there was no
    attempt.
    """
    later = times[bisect_right(times, (ended_ns, -1)) :]
    if not later:
        return None
    first = min(answered for _, answered in later)
    return NEVER if first == NEVER else first - ended_ns
