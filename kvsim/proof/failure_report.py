"""The report of one failing step: where it is, its target, what was sent, received and expected,
the state before and after, and the end of the nodes' logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvsim.checks.expectations import describe
from kvsim.checks.verdict import Finding
from kvsim.checks.write_effect import effect_of, read_back
from kvsim.history.outcome import Outcome
from kvsim.history.run_record import RequestRecord, RunRecord, StepRecord
from kvsim.proof.proof import Proof
from kvsim.text import show_bytes, truncate

LOG_LINES = 5
LOG_LINE_WIDTH = 300
REASONS_SHOWN = 3


def failed_steps(proof: Proof) -> list[StepRecord]:
    """Every step that did not pass, and every step that a check has a finding for."""
    findings = findings_by_step(proof)
    return [
        step
        for step in proof.steps
        if step.result not in {"pass", "skipped"} or step.id in findings
    ]


def findings_by_step(proof: Proof) -> dict[str, list[Finding]]:
    """Step id → findings, without the missed expectations that the step reports itself."""
    findings: dict[str, list[Finding]] = {}
    missed = {step.id for step in proof.steps if step.result != "pass"}
    for check in proof.checks:
        for finding in check.findings:
            if finding.step and not (check.name == "expectations" and finding.step in missed):
                findings.setdefault(finding.step, []).append(finding)
    return findings


def failure_report(record: RunRecord, step: StepRecord, findings: Sequence[str] = ()) -> list[str]:
    """The lines for one step that did not pass.

    `findings` are the messages of the checks that name the step; a step can have some although its
    own expectation was met.
    """
    targets = ", ".join(step.targets) or "no node"
    resolved = f" ({step.resolved})" if step.resolved else ""
    lines = [
        f"{record.meta['scenario_file']}:{step.line}: step {step.id}, {step.group}",
        f"  step      {step.text}",
        f"  target    {step.at} → {targets}{resolved}" if step.at else f"  target    {targets}",
        f"  expected  {step.expect or 'no error'}",
        *_reasons(step, findings),
    ]
    for operation in _last_requests(step):
        lines += _request(record, operation)
    for node in _nodes(step):
        lines += _log_end(record, node, step)
    return [*lines, f"  again     {record.meta['repeat_command']}"]


def _reasons(step: StepRecord, findings: Sequence[str]) -> Iterator[str]:
    reasons = list(dict.fromkeys([*([step.why] if step.why else []), *findings]))
    for index, text in enumerate(reasons[:REASONS_SHOWN]):
        yield f"  {'' if index else 'failed':<9} {text}"
    if len(reasons) > REASONS_SHOWN:
        yield f"            and {len(reasons) - REASONS_SHOWN} more, below"


def _last_requests(step: StepRecord) -> list[RequestRecord]:
    """The last request to each node."""
    last = {operation.node: operation for operation in step.of_purpose("step", "follow", "wait")}
    return list(last.values())


def _nodes(step: StepRecord) -> list[str]:
    return list(step.targets) or sorted({operation.node for operation in step.operations})


def _request(record: RunRecord, operation: RequestRecord) -> Iterator[str]:
    node, outcome = operation.node, describe(operation.outcome)
    yield f"  {node}  sent      {show_bytes(operation.sent)}"
    received = show_bytes(operation.received) or "nothing"
    yield f"  {node}  received  {received} after {operation.latency_ms:.1f} ms: {outcome}"
    if not operation.is_write:
        return
    before, after = read_back(record, operation)
    for label, values in (("before", before), ("after", after)):
        states = ", ".join(f"{name} {_state(value)}" for name, value in values.items())
        if states:
            yield f"      {label:<8}{operation.key}: {states}"
    if record.role_at(node, operation.invoked_s) != "leader":
        yield f"      effect  {effect_of(record, operation)}"


def _state(read: Outcome | None) -> str:
    return "not read" if read is None else describe(read)


def _log_end(record: RunRecord, node: str, step: StepRecord) -> Iterator[str]:
    started = [event["incarnation"] for event in record.of_kind("spawn") if event["node"] == node]
    if not started:
        return
    last = step.operations[-1] if step.operations else None
    incarnation = last.incarnation if last and last.node == node else started[-1]
    lines = record.logs.get((node, incarnation), "").splitlines()[-LOG_LINES:]
    if not lines:
        yield f"  log of {node} is empty"
        return
    yield f"  log of {node} (nodes/{node}/{incarnation}.log), its end:"
    yield from (f"    {truncate(line, LOG_LINE_WIDTH)}" for line in lines)
