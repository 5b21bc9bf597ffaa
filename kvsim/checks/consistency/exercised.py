"""Was there enough to judge? Guards against a pass that rests on nothing. Pure.

Operations must have been called before, during and after each fault, and a written value must have
been read. Too little makes a run invalid, not failed: nothing was found because nothing was tested.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import compress

from kvsim.checks.consistency.case import ConsistencyCheck, Minima
from kvsim.checks.consistency.masks import mask_of
from kvsim.checks.consistency.result import ConsistencyResult, Violation, make_result
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.history import FaultSpan, History
from kvsim.history.operations import ABSENT, NEVER, SHOWS_VALUE
from kvsim.text import plural

NAME = "exercised"
ABOUT = "enough was tried before, during and after each fault, and something written was read"


def exercised(history: History, minima: Minima | None = None) -> ConsistencyResult:
    """Judge how much was tried around every fault; `minima` None: at least one of each."""
    minima = minima or Minima()
    calls = sorted(history.operations.call_ns) if history.faults else []
    findings: list[Finding] = []
    for fault in history.faults:
        for phase, count in _calls_by_phase(calls, fault).items():
            needed = getattr(minima, phase)
            if count < needed:
                operations = plural(count, "operation")
                findings.append(
                    _too_few(f"{phase} {fault.name}: {operations}; at least {needed} are needed")
                )
    reads, needed = _reads_of_writes(history), minima.reads_of_writes
    if reads < needed:
        text = f"{plural(reads, 'read')} showed a written value; at least {needed} are needed"
        findings.append(_too_few(text))
    measured = {"reads of written values": reads}
    return make_result(NAME, ABOUT, len(history.operations), findings, measured=measured)


def _calls_by_phase(calls: list[int], fault: FaultSpan) -> dict[str, int]:
    began, ended = bisect_left(calls, fault.began_ns), bisect_left(calls, fault.ended_ns)
    counts = {"before": began, "during": ended - began}
    # A fault that lasts to the end has no phase after it.
    if fault.ended_ns != NEVER:
        counts["after"] = len(calls) - ended
    return counts


def _too_few(message: str) -> Finding:
    return Violation(message, verdict=Verdict.INVALID)


def _reads_of_writes(history: History) -> int:
    operations = history.operations
    answered = mask_of(operations, SHOWS_VALUE)
    return answered.count(1) - [*compress(operations.value, answered)].count(ABSENT)


EXERCISED = ConsistencyCheck(
    NAME,
    lambda case: exercised(case.history, case.options.minima),
    order=120,
    demanded=lambda case: case.options.minima is not None,
)
