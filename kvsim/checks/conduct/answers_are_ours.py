"""Every answer came from a process that kvsim started: the listening port is owned by it."""

from __future__ import annotations

from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every connection by the operating system's word at the time. A stranger's answers prove nothing: invalid."""
    owners = list(record.of_kind("owner"))
    findings = [
        Finding(f"{event['node']}: {event['says']}", node=event["node"], verdict=Verdict.INVALID)
        for event in owners
        if event["strangers"]
    ]
    return sum(1 for event in owners if event["ours"]) + len(findings), findings
