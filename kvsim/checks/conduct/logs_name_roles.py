"""Each node's own log names the role it was started in, and no other."""

from __future__ import annotations

import re

from kvsim.checks.verdict import Finding
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every start of a program whose node.yaml has `role_log`."""
    judged, findings = 0, []
    for event in record.of_kind("ready", "spawn"):
        if event.kind == "spawn" and not event["attached"]:
            continue  # judged once it is ready
        node = event["node"]
        patterns = record.nodes[node].get("role_log") or {}
        role = record.nodes[node]["role"]
        if role not in patterns:
            continue
        judged += 1
        log = record.logs[node, event["incarnation"]]
        found = {name for name, pattern in patterns.items() if re.search(pattern, log)}
        if role not in found:
            findings.append(Finding(f"{node}'s log has no line matching {patterns[role]!r}", node=node))
        elif found - {role} and not record.role_changed(node):
            findings.append(
                Finding(f"{node}'s log also names {', '.join(sorted(found - {role}))}", node=node)
            )
    return judged, findings
