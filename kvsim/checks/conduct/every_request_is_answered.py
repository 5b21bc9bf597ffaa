"""Every request to a node that is up is answered, in words that node.yaml knows."""

from __future__ import annotations

from kvsim.checks.expectations import describe
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.outcome import Kind, Reason
from kvsim.history.record import Operation, Record

UNANSWERED = {Reason.TIMEOUT, Reason.RESET, Reason.CLOSED}


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every request but those of steps that expect `unknown`, and those that a fault on their node touched. No answer is
    unknown, never a failure proven."""
    wanted_unknown = {step.id for step in record.steps if step.wanted and step.wanted["kind"] == "unknown"}
    asked = [
        o
        for o in record.operations
        if o.step not in wanted_unknown
        and o.outcome.reason is not Reason.UNREACHABLE
        and not (o.outcome.reason in UNANSWERED and record.touched(o))
    ]
    return len(asked), [_finding(operation) for operation in asked if _bad(operation)]


def _bad(operation: Operation) -> bool:
    """What a `raw` step is answered in words that node.yaml does not know is for its own expectation to judge."""
    fine = {Reason.UNCERTAIN, Reason.UNRECOGNISED} if operation.verb == "raw" else {Reason.UNCERTAIN}
    return operation.outcome.kind is Kind.UNKNOWN and operation.outcome.reason not in fine


def _finding(operation: Operation) -> Finding:
    recognised = operation.outcome.reason is not Reason.UNRECOGNISED
    asked = " ".join(part for part in (operation.verb, operation.key) if part)
    text = f"{operation.node}: `{asked}`: {describe(operation.outcome)}"
    return Finding(text, operation.step, operation.node, Verdict.UNKNOWN if recognised else Verdict.FAIL)
