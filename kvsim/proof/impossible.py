"""What no run can have recorded: events that contradict each other, so they were edited."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from kvsim.history.journal import Event
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import RunRecord
from kvsim.logs.log_file import LogFile
from kvsim.process.child import ExitStatus
from kvsim.run_directory import RunDirectory

# Times are rounded to microseconds.
ROUNDING_S = 2e-6
# Kinds of events that kvsim notes of the start of a node that was the last one then.
OF_THE_LAST_START = ("signal", "stopped", "stop_command_failed", "exit", "ready", "cluster_ready")
# Why a signal was sent to a node that has to stop.
STOPPING = "stopping"
KILLED = "SIGKILL"


def impossible(run: RunDirectory, record: RunRecord) -> list[str]:
    """One line for each contradiction: the journal's line, and what is impossible there."""
    problems = [
        *_times(record),
        *_requests(record),
        *_processes(record),
        *_starts_in_order(record),
        *_stops(record),
        *_ends(run, record),
        *_steps(record),
        *_roles(record),
        *_ports(record),
        *_loads(record),
        *_log_sizes(run, record),
    ]
    return [f"{run.journal}:{line}: {text}" for line, text in problems]


def _numbered(record: RunRecord, *kinds: str) -> Iterator[tuple[int, Event]]:
    return ((number, event) for number, event in enumerate(record.events, 1) if event.kind in kinds)


def _times(record: RunRecord) -> Iterator[tuple[int, str]]:
    for number, (before, after) in enumerate(pairwise(record.events), 2):
        if after.at_s < before.at_s:
            yield number, "is earlier than the event before it"
    for number, event in enumerate(record.events[:-1], 1):
        if event.kind == "end":
            yield number, "the run ended here, but more events follow"
    for number, _ in list(_numbered(record, "digests"))[1:]:
        yield number, "the digests of the files are stated twice"


def _requests(record: RunRecord) -> Iterator[tuple[int, str]]:
    """Requests are numbered, and are over when they are written."""
    expected = 1
    for number, event in _numbered(record, "operation"):
        if event["id"] != expected:
            yield number, f"request {event['id']} follows request {expected - 1}"
        expected = event["id"] + 1
        invoked_s, completed_s = event["invoked_s"], event["completed_s"]
        if not invoked_s <= completed_s <= event.at_s + ROUNDING_S:
            yield number, f"request {event['id']} is over before it began, or after it was written"


def _processes(record: RunRecord) -> Iterator[tuple[int, str]]:
    """Each start of a node is one process, which ends once."""
    found: dict[str, set[tuple[str, int]]] = {"spawn": set(), "exit": set()}
    for number, event in _numbered(record, "spawn", "exit"):
        start = (event["node"], event["incarnation"])
        if start in found[event.kind]:
            verb = "begins" if event.kind == "spawn" else "ends"
            yield number, f"start {start[1]} of {start[0]} {verb} twice"
        found[event.kind].add(start)
    for number, event in _numbered(record, "ready", "exit", "log", "usage"):
        start = (event["node"], event["incarnation"])
        if start not in found["spawn"]:
            yield number, f"{start[0]} has no start {start[1]}"


def _steps(record: RunRecord) -> Iterator[tuple[int, str]]:
    found: dict[str, set[str]] = {"step": set(), "step_end": set()}
    for number, event in _numbered(record, "step", "step_end"):
        if event["id"] in found[event.kind]:
            verb = "begins" if event.kind == "step" else "ends"
            yield number, f"step {event['id']} {verb} twice"
        found[event.kind].add(event["id"])


def _starts_in_order(record: RunRecord) -> Iterator[tuple[int, str]]:
    """Starts of a node are counted, and what kvsim does to a node it does to its last start."""
    last: dict[str, int] = {}
    for number, event in _numbered(record, "spawn", *OF_THE_LAST_START):
        node, incarnation = event["node"], event["incarnation"]
        expected = last.get(node)
        if event.kind != "spawn":
            if incarnation != expected:
                yield number, f"is of start {incarnation} of {node}, whose last one is {expected}"
            continue
        if expected is not None and incarnation != expected + 1:
            yield number, f"start {incarnation} of {node} follows start {expected}"
        last[node] = incarnation


def _stops(record: RunRecord) -> Iterator[tuple[int, str]]:
    """A node ignored, or was killed by, a signal that it was sent to stop."""
    sent: dict[str, list[str]] = {}
    for number, event in _numbered(record, "signal", "stopped"):
        node = event["node"]
        if event.kind == "signal":
            if event["why"] == STOPPING:
                sent.setdefault(node, []).append(event["signal"])
            continue
        signals = sent.pop(node, [])
        ignored = [name for name in event["ignored"] if name not in signals]
        if ignored:
            yield number, f"{node} cannot have ignored {ignored[0]}, which it was not sent"
        if event["killed"] and KILLED not in signals:
            yield number, f"{node} was not killed: it was not sent {KILLED}"


def _start_of(event: Event) -> tuple[str, int]:
    return event["node"], event["incarnation"]


def _ends(run: RunDirectory, record: RunRecord) -> Iterator[tuple[int, str]]:
    """How a process ended, in words, and what it logged last."""
    for number, event in _numbered(record, "exit"):
        if event["description"] != _described_end(event):
            yield number, f"`{event['description']}` is not how {event['node']} ended"
        tail, path = event["tail"], run.log(*_start_of(event))
        if event["requested"] and tail:
            yield number, f"the last lines of {event['node']} are noted although it was stopped"
        elif tail and not _contains(path, tail):
            yield number, f"{path} does not contain the lines that it ended with"


def _described_end(event: Event) -> str:
    known = signal.Signals.__members__
    name = event["signal"]
    code = None if name is None else known[name].value if name in known else int(name.split()[-1])
    return ExitStatus(event["status"], code).describe()


def _contains(log: Path, lines: Sequence[str]) -> bool:
    """Whether a log has these lines one after another. The last one may have become longer."""
    found: deque[str] = deque(maxlen=len(lines))
    *complete, last = lines
    for line in LogFile(log).lines():
        found.append(line.text)
        if [*found][:-1] == complete and found[-1].startswith(last):
            return True
    return False


def _roles(record: RunRecord) -> Iterator[tuple[int, str]]:
    """A node is asked for its role for a step of the run."""
    asked: dict[str, str] = {}
    steps = {event["id"] for event in record.of_kind("step")} | {""}
    for number, event in _numbered(record, "operation", "role"):
        node = event["node"]
        if not (record.cut_short or event["step"] in steps):
            yield number, f"the run has no step {event['step']}"
        if event.kind == "operation":
            if event["purpose"] == "role":
                asked[node] = event["step"]
        elif asked.pop(node, event["step"]) != event["step"]:
            yield number, f"{node} was asked for its role for another step"


def _ports(record: RunRecord) -> Iterator[tuple[int, str]]:
    """A port at which a node was reached is one of its ports; a connection carried a request."""
    used = {
        (event["node"], event["incarnation"], event["connection"])
        for event in record.of_kind("operation")
    }
    for number, event in _numbered(record, "ready", "cluster_ready", "owner"):
        node = event["node"]
        if event.kind == "owner":
            connection = event["connection"]
            if not record.cut_short and (*_start_of(event), connection) not in used:
                yield number, f"no request was sent to {node} on {connection or 'no connection'}"
            if event["owned"] and (event["pid"] is None or event["foreign"]):
                yield number, f"the port of {node} is not its own"
            if event["owned"] != (not event["description"]):
                yield number, f"who has the port of {node} is described only where it is another"
            continue
        for probe in event["probes"].values():
            port = probe.get("port") if isinstance(probe, dict) else None
            if isinstance(port, int) and port not in record.nodes[node]["ports"]:
                yield number, f"{node} has no port {port}"


def _loads(record: RunRecord) -> Iterator[tuple[int, str]]:
    """A load makes more and more operations, up to those that it counted at its end."""
    ends = {event["name"]: event["counts"] for event in record.of_kind("load_stop")}
    made: dict[str, int] = {}
    for number, event in _numbered(record, "load_made"):
        name, counts = event["name"], ends.get(event["name"])
        if event["made"] < made.get(name, 0):
            yield number, f"load {name} had made {made[name]} operations before"
        made[name] = event["made"]
        total = sum(counts.get(str(kind), 0) for kind in OutcomeKind) if counts else made[name]
        if made[name] > total:
            yield number, f"load {name} made {total:g} operations in all, not {made[name]}"


def _log_sizes(run: RunDirectory, record: RunRecord) -> Iterator[tuple[int, str]]:
    """A log has at least the bytes that it had when its size was noted."""
    for number, event in _numbered(record, "log"):
        path = run.log(*_start_of(event))
        if path.stat().st_size < event["size"]:
            yield number, f"{path} has fewer bytes than the {event['size']} that it had then"
