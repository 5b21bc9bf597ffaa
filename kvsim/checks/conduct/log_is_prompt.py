"""A node's log lines can be read when they are written, not when a buffer is full."""

from __future__ import annotations

from kvsim.checks.verdict import Finding
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every start that waited for a log line while the node already served."""
    seen = sum(1 for event in record.of_kind("ready") if "log" in event["gates"])
    late = [event for event in record.of_kind("start_failed") if event["missing"] == ["log"]]
    return seen + len(late), [Finding(event["message"], node=event["node"]) for event in late]
