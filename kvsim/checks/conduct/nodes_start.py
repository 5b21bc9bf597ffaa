"""Every node that was started became ready."""

from __future__ import annotations

from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """A port taken by a stranger is nobody's failure: it makes the run invalid, unless the node came up on another one."""
    came_up = {event["node"] for event in record.of_kind("ready")}
    findings = [
        Finding(event["message"], node=event["node"], verdict=_verdict(event["why"]))
        for event in record.of_kind("start_failed")
        if event["missing"] != ["log"] and not (event["why"] == "port" and event["node"] in came_up)
    ]
    return sum(not event.get("attached") for event in record.of_kind("spawn")), findings


def _verdict(why: str) -> Verdict:
    return Verdict.INVALID if why == "port" else Verdict.FAIL
