"""At no moment do two nodes say that they are the leader."""

from __future__ import annotations

from collections import defaultdict

from kvsim.checks.verdict import Finding
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every round in which the nodes were asked; a node that is still in an older epoch is a former leader, no second one."""
    rounds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for event in record.of_kind("role"):
        claims = rounds[event["step"]]
        if event.get("role") == "leader" and event["how"] == "says":
            claims[event["fields"].get("epoch", "")].append(event["node"])
    findings = [
        Finding(f"{' and '.join(sorted(set(nodes)))} both say that they are the leader", step)
        for step, claims in rounds.items()
        for nodes in claims.values()
        if len(set(nodes)) > 1
    ]
    return sum(1 for claims in rounds.values() if claims), findings
