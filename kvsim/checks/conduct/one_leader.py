"""At no moment do two nodes lead the same epoch, and whoever led an older one steps down."""

from __future__ import annotations

from collections import defaultdict

from kvsim.checks.verdict import Finding
from kvsim.history.journal import Event
from kvsim.history.record import Record

STEP_DOWN_WITHIN_S = 3.0  # of kvsim's own limits, so stretched with them


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every round in which the nodes were asked. A node that is still in an older epoch is a former leader, which has
    three seconds to hear of the newer one."""
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
    findings += _never_stepped_down(record)
    return sum(1 for claims in rounds.values() if claims), findings


def _never_stepped_down(record: Record) -> list[Finding]:
    """Former leaders that went on saying so, having been asked beside the leader of a newer epoch again and again."""
    within_s = STEP_DOWN_WITHIN_S * record.meta.get("time_limits", {}).get("own", 1.0)
    since: dict[str, float] = {}
    leads: dict[str, tuple[int, Event]] = {}
    found: dict[str, Finding] = {}
    for event in record.of_kind("role"):
        node, epoch = event["node"], event["fields"].get("epoch", "")
        leads.pop(node, None)
        if event.get("role") != "leader" or event["how"] != "says" or not epoch.isdecimal():
            since.pop(node, None)
            continue
        leads[node] = (int(epoch), event)
        newer = [other for other, (led, _) in leads.items() if led > int(epoch)]
        if newer and event.at_s - since.setdefault(node, event.at_s) > within_s:
            text = f"{node} still says that it is the leader, of epoch {epoch}, though {newer[0]} leads {leads[newer[0]][0]}"
            found.setdefault(node, Finding(text, event["step"], node))
    return list(found.values())
