"""Faults and loads in proof.txt: what each fault's receipts said, how each promise stands, what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from kvsim.checks.consistency.answer import Answer
from kvsim.checks.consistency.report import Report, shown_lines
from kvsim.checks.verdict import Finding
from kvsim.history.record import FaultRecord, Record

BIT = {True: "bit", False: "DID NOT BITE", None: "nobody tried"}


def fault_lines(record: Record, step: str) -> Iterator[str]:
    """What the fault that a step held showed: a line a receipt, a line a healing; of a storm, where its schedule stands."""
    if any(event["id"] == step for event in record.of_kind("storm")):
        yield "              its schedule, as an ordinary scenario: replay.yaml"
    for fault in record.faults:
        if fault.id == step:
            yield from _fault(fault)


def _fault(fault: FaultRecord) -> Iterator[str]:
    for receipt in fault.receipts:
        yield f"              {BIT[receipt['bit']]}: {receipt['says']}"
    word = "healed" if fault.healed else "NOT HEALED"
    for says in fault.healing:
        yield f"              {word}: {says}"


def load_lines(record: Record, report: Report | None) -> Iterator[str]:
    """How the promises stand after what the loads did; nothing when there was no load."""
    if report is None:
        return
    yield ""
    yield "WHAT THE LOADS DID, AND HOW THE PROGRAM'S PROMISES STAND"
    stops = {event["name"]: event["counts"] for event in record.of_kind("load_stop")}
    for load in record.of_kind("load_start"):
        counts = stops.get(load["name"], {})
        done = ", ".join(f"{counts.get(word, 0):,} {word}" for word in ("ok", "refused", "unknown"))
        if "cas" in counts:
            done += (
                f"; of compare-and-sets {counts['cas']:,} set and {counts['cas_missed']:,} met another value"
            )
        yield f"  {load['name']}: {load['clients']} clients at {load['at']}, {load['key_count']} keys: {done}"
    for one in report.promises:
        yield f"  {str(one.standing).upper():<14} {one.promise}: {one.word} ({one.why})"
    for check in report.checks:
        yield from _measured(check)


def _measured(check: Answer) -> Iterator[str]:
    """What a check that judges nothing promised found or measured."""
    if check.measures_only and (check.found or check.measured):
        values = ", ".join(f"{name} {_number(value)}" for name, value in check.measured.items())
        found = f"{check.found:,} found, not promised" if check.found else ""
        yield f"  measured       {check.name}: {'; '.join(part for part in (found, values) if part)}"
        if check.findings:
            yield f"                 such as: {check.findings[0].message}"


def _number(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def picture_lines(finding: Finding) -> list[str]:
    """The timeline of a violation and the logs around it, where it has them."""
    return shown_lines(finding)
