"""Every fault really bit, by measured evidence, and was healed afterwards."""

from __future__ import annotations

from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.record import FaultRecord, Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every fault that was planned. A fault without its receipt proves nothing of what came after: invalid."""
    findings = [
        Finding(why, fault.id, verdict=Verdict.INVALID) for fault in record.faults for why in _problems(fault)
    ]
    if record.faults and not any(fault.bit for fault in record.faults) and not findings:
        findings.append(
            Finding("none of the faults bit, so nothing was tested by them", verdict=Verdict.INVALID)
        )
    return len(record.faults), findings


def _problems(fault: FaultRecord) -> list[str]:
    whom = ", ".join(fault.nodes)
    found = []
    if fault.required and not fault.bit:
        found += _why_not(fault, whom)
    if fault.healed is None:
        found.append(f"{fault.kind} of {whom} was not healed: the run ended inside it")
    elif not fault.healed:
        found.append(f"{fault.kind} was not healed: {'; '.join(fault.healing)}")
    return found


def _why_not(fault: FaultRecord, whom: str) -> list[str]:
    if not fault.receipts:
        return [f"{fault.kind} of {whom} left no receipt"]
    escaped = [f"{fault.kind} did not bite: {one['says']}" for one in fault.receipts if one["bit"] is False]
    untried = "; ".join(one["says"] for one in fault.receipts)
    return escaped or [f"{fault.kind} of {whom}: nobody tried: {untried}"]
