"""Checks of what the scenario asked for: every expectation was met, every fault took effect."""

from __future__ import annotations

from kvsim.checks.expectations import Miss, ObservedReply, check_expectation
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.verdict import Finding, Verdict, worst
from kvsim.config.scenario import Expectation
from kvsim.history.run_record import FaultRecord, RequestRecord, RunRecord, StepRecord

# A step with this verb expects nothing.
WAITING = "sleep"


@run_check("Every step's expectation was met", order=190)
def expectations(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every step that ran, except those that only let time pass. What was recorded as passed
    is judged again from the recorded bytes and outcomes.
    """
    ran = [step for step in record.steps if step.result != "skipped"]
    findings = [finding for step in ran if (finding := _unmet(record, step))]
    return sum(step.verb != WAITING for step in ran), findings


def _unmet(record: RunRecord, step: StepRecord) -> Finding | None:
    if not step.result:
        return Finding("the run ended inside this step", step.id, verdict=Verdict.UNKNOWN)
    if step.result != "pass":
        return Finding(step.why, step.id, verdict=Verdict(step.result))
    misses = [miss for request in _deciding(step) if (miss := _miss(record, step, request))]
    if not misses:
        return None
    text = f"recorded as passed, but {'; '.join(miss.why for miss in misses)}"
    return Finding(text, step.id, verdict=worst(miss.verdict for miss in misses))


def _deciding(step: StepRecord) -> list[RequestRecord]:
    """The request that decided, for each target: the last one, after any redirect.

    Nodes that an earlier try asked, and that the target no longer matched at the end, do not count.
    """
    by_target: dict[str, RequestRecord] = {}
    target = ""
    for request in step.of_purpose("step", "follow"):
        target = request.node if request.purpose == "step" else target
        by_target[target] = request
    return [request for node, request in by_target.items() if node in (step.targets or by_target)]


def _miss(record: RunRecord, step: StepRecord, request: RequestRecord) -> Miss | None:
    if step.expectation is None:
        return None
    observed = ObservedReply(
        request.outcome,
        reply=request.received.decode("utf-8", "replace"),
        leader_named=record.node_named(request.outcome.leader),
        leader_true=record.leader_at(request.invoked_s),
    )
    return check_expectation(Expectation.from_json(step.expectation), observed)


@run_check(
    "Every fault took effect, by measured evidence, and its nodes recovered afterwards", order=200
)
def faults_have_evidence(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every fault that was planned. Without evidence of a fault the run is invalid."""
    findings = [
        Finding(why, fault.id, verdict=Verdict.INVALID)
        for fault in record.faults
        for why in _fault_problems(fault)
    ]
    if record.faults and not any(fault.took_effect for fault in record.faults) and not findings:
        text = "none of the faults took effect, so they tested nothing"
        findings.append(Finding(text, verdict=Verdict.INVALID))
    return len(record.faults), findings


def _fault_problems(fault: FaultRecord) -> list[str]:
    nodes = ", ".join(fault.nodes)
    problems = []
    if fault.required and not fault.took_effect:
        problems += _no_effect(fault, nodes)
    if fault.recovered is None:
        problems.append(f"{fault.kind} of {nodes} did not recover: the run ended while it lasted")
    elif not fault.recovered:
        problems.append(f"{fault.kind} did not recover: {'; '.join(fault.recovery)}")
    return problems


def _no_effect(fault: FaultRecord, nodes: str) -> list[str]:
    if not fault.evidence:
        return [f"{fault.kind} of {nodes} left no evidence"]
    without = [
        f"{fault.kind} had no effect: {item['message']}"
        for item in fault.evidence
        if item["took_effect"] is False
    ]
    messages = "; ".join(item["message"] for item in fault.evidence)
    return without or [f"{fault.kind} of {nodes}: no traffic: {messages}"]
