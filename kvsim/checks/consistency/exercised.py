"""Was there enough to judge? Guards against passes that rest on nothing. Pure.

Operations must have been answered before, during and after each fault, and somebody must have read
something that was written. What falls short makes a run invalid, not failed: nothing was found, because
nothing was tested.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from kvsim.checks.consistency.answer import Answer, Violation, answer, plural
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, GET, NEVER, OK

NAME = "exercised"
ABOUT = "enough was tried before, during and after each fault, and something written was read"


@dataclass(frozen=True)
class Minima:
    """The fewest operations that must have been called in each phase, and reads of a written value."""

    before: int = 1
    during: int = 1
    after: int = 1
    reads_of_writes: int = 1


def exercised(history: History, minima: Minima = Minima()) -> Answer:
    """Judge the amount of what was tried around every fault of the history."""
    calls = sorted(history.operations.call_ns)
    findings: list[Finding] = []
    for fault in history.faults:
        begun, ended = bisect_left(calls, fault.began_ns), bisect_left(calls, fault.ended_ns)
        counts = {"before": begun, "during": ended - begun}
        if fault.ended_ns != NEVER:  # of a node that stayed down there is no after
            counts["after"] = len(calls) - ended
        for phase, count in counts.items():
            wanted = getattr(minima, phase)
            if count < wanted:
                findings.append(
                    _short(f"{phase} {fault.name}: {plural(count, 'operation')}, {wanted} are wanted")
                )
    reads = _reads_of_writes(history)
    if reads < minima.reads_of_writes:
        findings.append(
            _short(f"{plural(reads, 'read')} showed a written value, {minima.reads_of_writes} are wanted")
        )
    return answer(NAME, ABOUT, len(calls), findings, measured={"reads of written values": reads})


def _short(message: str) -> Finding:
    return Violation(message, verdict=Verdict.INVALID)


def _reads_of_writes(history: History) -> int:
    operations = history.operations
    columns = zip(operations.kind, operations.outcome, operations.value, strict=True)
    return sum(kind == GET and outcome == OK and value != ABSENT for kind, outcome, value in columns)
