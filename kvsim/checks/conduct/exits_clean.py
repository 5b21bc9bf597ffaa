"""Every node stops when it is asked to, in time and with a clean exit status."""

from __future__ import annotations

from kvsim.checks.verdict import Finding
from kvsim.history.journal import Event
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every node that was running when kvsim began to stop it. Status and time limit are those of its node.yaml;
    the status of a process that an earlier kvsim started cannot be known."""
    exits = {(event["node"], event["incarnation"]): event for event in record.of_kind("exit")}
    stops = [event for event in record.of_kind("stopped") if event["was_running"]]
    findings = [
        Finding(why, node=event["node"])
        for event in stops
        if (why := _problem(record, event, exits.get((event["node"], event["incarnation"]))))
    ]
    return len(stops), findings


def _problem(record: Record, stop: Event, end: Event | None) -> str | None:
    node = stop["node"]
    if stop["ignored"] and stop.get("killed", True):  # a second step of node.yaml's own may have been what it needed
        return f"{node} ignored {', '.join(stop['ignored'])} and had to be killed"
    if end is None or (end["status"] is None and end["signal"] is None):
        return None
    clean = record.nodes[node]["clean_exits"]
    by_stop_signal = end["status"] is None and end["signal"] != "SIGKILL" and not clean
    if end["status"] in clean or by_stop_signal:
        return None
    return f"{node} {end['says']} when it was stopped; clean is {' or '.join(str(one) for one in clean)}"
