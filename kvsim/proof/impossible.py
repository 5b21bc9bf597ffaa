"""What no run can have recorded: events that contradict each other, so they were edited."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord
from kvsim.run_directory import RunDirectory

# Times are rounded to microseconds.
ROUNDING_S = 2e-6


def impossible(run: RunDirectory, record: RunRecord) -> list[str]:
    """One line for each contradiction: the journal's line, and what is impossible there."""
    problems = [
        *_times(record),
        *_requests(record),
        *_processes(record),
        *_steps(record),
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


def _log_sizes(run: RunDirectory, record: RunRecord) -> Iterator[tuple[int, str]]:
    """A log has the bytes that it had when its size was noted last."""
    last = {
        (event["node"], event["incarnation"]): (number, event["size"])
        for number, event in _numbered(record, "log")
    }
    for start, (number, size) in last.items():
        path = run.log(*start)
        if path.stat().st_size < size:
            yield number, f"{path} has fewer bytes than the {size} that it had then"
