"""Every step's expectation was met."""

from __future__ import annotations

from kvsim.checks.expectations import Seen
from kvsim.checks.expectations import judge as judge_one
from kvsim.checks.verdict import Finding, Verdict, worst
from kvsim.config.scenario import Expectation
from kvsim.history.record import Operation, Record, StepRecord

WAITING = "sleep"  # a step that expects nothing


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every step that ran, except those that only let time pass. What was recorded as passed is judged again from the
    recorded bytes and outcomes.
    """
    ran = [step for step in record.steps if step.result != "skipped"]
    findings = [finding for step in ran for finding in _judge_step(record, step)]
    return sum(step.verb != WAITING for step in ran), findings


def _judge_step(record: Record, step: StepRecord) -> list[Finding]:
    if not step.result:
        return [Finding("the run ended inside this step", step.id, verdict=Verdict.UNKNOWN)]
    if step.result != "pass":
        return [Finding(step.why, step.id, verdict=Verdict(step.result))]
    misses = [miss for operation in _last_of_each(step) if (miss := _again(record, step, operation))]
    if not misses:
        return []
    text = "; ".join(miss.why for miss in misses)
    return [
        Finding(f"recorded as passed, but {text}", step.id, verdict=worst(miss.verdict for miss in misses))
    ]


def _last_of_each(step: StepRecord) -> list[Operation]:
    """The operation that decided, for each target: the last one, or the one a redirect led to."""
    by_target: dict[str, Operation] = {}
    target = ""
    for operation in step.of_purpose("step", "follow"):
        target = operation.node if operation.purpose == "step" else target
        by_target[target] = operation
    return list(by_target.values())


def _again(record: Record, step: StepRecord, operation: Operation):
    if step.wanted is None:
        return None
    seen = Seen(
        operation.outcome,
        reply=operation.received.decode("utf-8", "replace"),
        leader_named=record.node_named(operation.outcome.leader),
        leader_true=record.leader_at(operation.invoked_s),
    )
    return judge_one(Expectation.from_json(step.wanted), seen)
