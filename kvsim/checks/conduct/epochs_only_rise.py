"""A node's epoch never goes back, not over a restart either."""

from __future__ import annotations

from kvsim.checks.verdict import Finding
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every answer in which a node told its epoch after having told one before."""
    highest: dict[str, int] = {}
    judged, findings = 0, []
    for event in record.of_kind("role"):
        node, told = event["node"], event["fields"].get("epoch", "")
        if not told.isdecimal():
            continue
        epoch, before = int(told), highest.get(node)
        judged += before is not None
        if before is not None and epoch < before:
            findings.append(Finding(f"{node} told epoch {before}, and later {epoch}", event["step"], node))
        highest[node] = max(epoch, before or 0)
    return judged, findings
