"""No node ended unless kvsim ended it, or broke what a node may end of."""

from __future__ import annotations

from kvsim.checks.verdict import Finding
from kvsim.history.journal import Event
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every start that led to ready; a death before that belongs to `nodes_start`."""
    ready = {(event["node"], event["incarnation"]) for event in record.of_kind("ready")}
    died = [
        event
        for event in record.of_kind("exit")
        if not event["wanted"]
        and not event.get("tolerated")
        and (event["node"], event["incarnation"]) in ready
    ]
    return len(ready), [Finding(_say(event), node=event["node"]) for event in died]


def _say(event: Event) -> str:
    if event["flooded"]:
        return f"node {event['node']} flooded its log and was killed by kvsim"
    tail = "; last log lines: " + " | ".join(event["tail"][-3:]) if event["tail"] else ""
    return f"node {event['node']} {event['says']}, and nobody had asked it to{tail}"
