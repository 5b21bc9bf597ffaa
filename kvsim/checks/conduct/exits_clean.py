"""Every node stops when it is asked to, in time and with a clean exit status."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from kvsim.checks.verdict import Finding
from kvsim.history.journal import Event
from kvsim.history.record import Record

Start = tuple[str, int]  # node, incarnation


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every node that was running when kvsim began to stop it. Status and time limit are those of its node.yaml;
    the status of a process that an earlier kvsim started cannot be known, and that of one that was stopped before it was
    ready says nothing."""
    exits = {(event["node"], event["incarnation"]): event for event in record.of_kind("exit")}
    never_ready = {
        (event["node"], event["incarnation"]) for event in record.of_kind("spawn") if not event["attached"]
    }
    never_ready -= {(event["node"], event["incarnation"]) for event in record.of_kind("ready")}
    stops = [event for event in record.of_kind("stopped") if event["was_running"]]
    findings = [
        Finding(why, node=event["node"])
        for event in stops
        if (why := _ignored(event) or _unclean(record, event, exits, never_ready))
    ]
    return len(stops), findings


def _number(name: str) -> int:
    return signal.Signals[name].value if name in signal.Signals.__members__ else int(name.split()[-1])


def _ignored(stop: Event) -> str | None:
    # `killed`: a second step of node.yaml's own may have been what it needed
    if not stop["ignored"] or not stop.get("killed", True):
        return None
    return f"{stop['node']} ignored {', '.join(stop['ignored'])} and had to be killed"


def _unclean(
    record: Record, stop: Event, exits: Mapping[Start, Event], never_ready: set[Start]
) -> str | None:
    node, start = stop["node"], (stop["node"], stop["incarnation"])
    end = exits.get(start)
    if start in never_ready or end is None or (end["status"] is None and end["signal"] is None):
        return None
    clean = record.nodes[node]["clean_exits"]
    status = end["status"] if end["signal"] is None else 128 + _number(end["signal"])  # as a shell says it
    if status in clean or (end["signal"] not in (None, "SIGKILL") and not clean):
        return None
    return f"{node} {end['says']} when it was stopped; clean is {' or '.join(str(one) for one in clean)}"
