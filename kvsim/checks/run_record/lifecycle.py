"""Checks of processes: nodes start, log, stay up, stop when they are asked to and leave nothing."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from msgspec.structs import replace

from kvsim.checks.run_record.manners import allowed_by
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord
from kvsim.patterns import search

# A shell reports an end by a signal as this plus the number of the signal.
SIGNALLED = 128
# Node and incarnation.
Start = tuple[str, int]


def _start_of(event: Event) -> Start:
    return event["node"], event["incarnation"]


@run_check("Every node that was started became ready", order=10)
def nodes_start(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every start. A port that another program holds is no failure: it makes the run
    invalid, unless the node started on another port. Where a node answered and only what node.yaml
    says of its answers did not match, it is unknown which of them is wrong.
    """
    started = {event["node"] for event in record.of_kind("ready")}
    findings = [
        Finding(
            event["message"],
            node=event["node"],
            verdict=_verdict_of_start(event),
        )
        for event in record.of_kind("start_failed")
        if event["missing"] != ["log"] and not (event["why"] == "port" and event["node"] in started)
    ]
    return sum(not event.get("attached") for event in record.of_kind("spawn")), findings


def _verdict_of_start(event: Event) -> Verdict:
    if event["why"] == "port":
        return Verdict.INVALID
    missing, unmatched = set(event["missing"]), event.get("unmatched", {}).keys()
    return Verdict.UNKNOWN if missing and missing <= unmatched else Verdict.FAIL


@run_check(
    "A node's log lines can be read when they are written, not when a buffer is full", order=20
)
def log_is_prompt(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every start that waited for a log line while the node already served. A line that
    came only later, such as at its end, fails. One that never came is unknown: the store may not
    log it, and node.yaml may describe it wrongly.
    """
    in_time = sum(1 for event in record.of_kind("ready") if "log" in event["probes"])
    late = [event for event in record.of_kind("start_failed") if event["missing"] == ["log"]]
    return in_time + len(late), [
        Finding(
            event["message"],
            node=event["node"],
            verdict=Verdict.FAIL if _logged_later(record, event) else Verdict.UNKNOWN,
        )
        for event in late
    ]


def _logged_later(record: RunRecord, event: Event) -> bool:
    pattern, log = event.get("log"), record.logs.get(_start_of(event), "")
    return bool(pattern) and search(pattern, log, multiline=True) is not None


@run_check(
    "No node ended, unless kvsim ended it or broke something that explains its end", order=30
)
def nodes_stay_up(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every start that became ready; an earlier end belongs to `nodes_start`. A node that
    kvsim killed because its log was too large makes the run invalid.
    """
    ready = {_start_of(event) for event in record.of_kind("ready")}
    ended = [
        event
        for event in record.of_kind("exit")
        if not (event["requested"] or event.get("tolerated") or event["flooded"])
        and _start_of(event) in ready
    ]
    flooded = [event for event in record.of_kind("exit") if event["flooded"]]
    return len(ready), [
        *(Finding(_describe_end(event), node=event["node"]) for event in ended),
        *(Finding(_describe_flood(event), "", event["node"], Verdict.INVALID) for event in flooded),
    ]


def _describe_flood(event: Event) -> str:
    return (
        f"node {event['node']} flooded its log and was killed by kvsim; `log: {{limit: …}}` in "
        "node.yaml allows a larger one"
    )


def _describe_end(event: Event) -> str:
    tail = "; last log lines: " + " | ".join(event["tail"][-3:]) if event["tail"] else ""
    return f"node {event['node']} {event['description']}, and kvsim had not asked it to{tail}"


@run_check(
    "Each node's log names the role that it was started in, and no other",
    subject=Subject.ROLES,
    order=210,
)
def logs_name_roles(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every start of a program whose node.yaml has `role_log`. A log that names no role is
    unknown where no node of the program and the role has logged the line: the store may not log it,
    and node.yaml may describe it wrongly.
    """
    judged, findings, nameless = 0, [], []
    # Program and role whose line was logged.
    described = set()
    for event in record.of_kind("ready", "spawn"):
        # A node that kvsim starts is judged once it is ready.
        if event.kind == "spawn" and not event["attached"]:
            continue
        node = event["node"]
        patterns = record.nodes[node].get("role_log") or {}
        role = record.nodes[node]["role"]
        if role not in patterns:
            continue
        judged += 1
        log = record.logs[_start_of(event)]
        named = {name for name, pattern in patterns.items() if search(pattern, log)}
        described |= {(record.nodes[node]["program"], name) for name in named}
        if role not in named:
            text = f"{node}'s log has no line matching {patterns[role]!r}"
            if named:
                findings.append(Finding(text, node=node))
            else:
                nameless.append(Finding(text, node=node))
        elif named - {role} and not record.role_changed(node):
            text = f"{node}'s log also names {', '.join(sorted(named - {role}))}"
            findings.append(Finding(text, node=node))
    for finding in nameless:
        plan = record.nodes[finding.node]
        known = (plan["program"], plan["role"]) in described
        findings.append(finding if known else replace(finding, verdict=Verdict.UNKNOWN))
    return judged, findings


@run_check("Every node stops when it is asked to, in time and with a clean exit status", order=220)
def exits_clean(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node that was running when kvsim began to stop it. Status and time limit are
    those of its node.yaml. Without a status there, 0 is clean, and so is the signal that kvsim
    sent: that is how a program without a handler ends. Three exit statuses are not judged: that of
    a process that an earlier kvsim started, which cannot be known, that of a node that was stopped
    before it was ready, and that of one that kvsim killed at this moment for its flooded log. A
    stop command that cannot be started makes the run invalid.
    """
    exits = {_start_of(event): event for event in record.of_kind("exit")}
    never_ready = {_start_of(event) for event in record.of_kind("spawn") if not event["attached"]}
    never_ready -= {_start_of(event) for event in record.of_kind("ready")}
    flooded = {start for start, event in exits.items() if event.get("flooded")}
    stops = [
        event
        for event in record.of_kind("stopped")
        if event["was_running"] and _start_of(event) not in flooded
    ]
    failed = list(record.of_kind("stop_command_failed"))
    causes = {_start_of(event): f"; {event['message']}" for event in failed if event["started"]}
    findings = [
        Finding(event["message"], node=event["node"], verdict=Verdict.INVALID)
        for event in failed
        if not event["started"]
    ]
    findings += [
        Finding(why + causes.get(_start_of(event), ""), node=event["node"])
        for event in stops
        if (why := _ignored_signals(event) or _unclean_exit(record, event, exits, never_ready))
    ]
    return len(stops), findings


def _ignored_signals(stop: Event) -> str | None:
    # If it was not killed, a later signal of node.yaml's stop sequence ended it.
    if not stop["ignored"] or not stop.get("killed", True):
        return None
    return f"{stop['node']} ignored {', '.join(stop['ignored'])} and had to be killed"


def _unclean_exit(
    record: RunRecord, stop: Event, exits: Mapping[Start, Event], never_ready: set[Start]
) -> str | None:
    node, start = stop["node"], _start_of(stop)
    end = exits.get(start)
    if start in never_ready or end is None or (end["status"] is None and end["signal"] is None):
        return None
    by_kind = _clean_exits_by_kind(record, node, start)
    clean = record.nodes[node]["clean_exits"] if by_kind is None else by_kind
    ended_by = end["signal"]
    status = end["status"] if ended_by is None else SIGNALLED + _signal_number(ended_by)
    if status in clean or (ended_by not in (None, "SIGKILL") and not clean):
        return None
    # The last KILL of kvsim is no way to stop.
    own_signal = (
        by_kind is None
        and record.nodes[node].get("own_signal_is_clean")
        and not stop.get("killed", False)
    )
    if own_signal and status in _own_signals(record, start):
        return None
    accepted = " or ".join(str(status) for status in clean)
    return f"{node} {end['description']} when it was stopped; clean is {accepted}"


def _clean_exits_by_kind(record: RunRecord, node: str, start: Start) -> list[int] | None:
    """The clean exit statuses for what kvsim stopped this incarnation with; None: not stated."""
    by_kind = record.nodes[node].get("clean_exits_by") or {}
    sent = [event for event in record.of_kind("signal") if _start_of(event) == start]
    kinds = {event["signal"].removeprefix("SIG") for event in sent} or {"command"}
    stated = kinds & by_kind.keys()
    return sorted({status for kind in stated for status in by_kind[kind]}) if stated else None


def _own_signals(record: RunRecord, start: Start) -> set[int]:
    """The exit statuses of an end by the signals that kvsim sent to stop this incarnation.

    Of a node that a shell or another wrapper runs, the status is the same number.
    """
    return {
        SIGNALLED + _signal_number(event["signal"])
        for event in record.of_kind("signal")
        if _start_of(event) == start
    }


def _signal_number(name: str) -> int:
    known = signal.Signals.__members__
    return known[name].value if name in known else int(name.split()[-1])


@run_check("Nothing is left of a node that has ended: no process, no listening port", order=230)
def no_leftovers(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every node that was stopped, over its whole process tree. `allow: {children: true}`
    in node.yaml allows processes that outlive their node, as far as kvsim can kill them.
    """
    stops = list(record.of_kind("stopped"))
    return len(stops), [
        Finding(text, node=event["node"])
        for event in stops
        for text in _leftovers(event, allowed_by(record, event["node"]).get("children", False))
    ]


def _leftovers(event: Event, children_allowed: bool) -> list[str]:
    node = event["node"]
    found = [
        f"{node} left a process behind, which kvsim killed: {text}"
        for text in ([] if children_allowed else event["leftovers"])
    ]
    found += [f"a process of {node} cannot be killed: {text}" for text in event["survivors"]]
    if event["port_open"]:
        found.append(f"{node}'s port is still open after it has ended")
    return found
