"""What happened to processes, as marks on a node's lane: started, ready, signalled, ended. Pure.

One row a kind in WORDS; a kind that is not in it is not a mark. A signal of the orderly end is moved to when it was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvsim.history.journal import Event
from kvsim.history.record import Record


def process_events(record: Record) -> list[dict[str, Any]]:
    """In order of time: when, kind, node, what to show, and whether it is bad news."""
    sent = _signal_times(record)
    events = [_mark(event, sent.get(id(event), event.at_s)) for event in record.events if event.kind in WORDS]
    return sorted((mark for mark in events if mark["text"]), key=lambda mark: mark["at_s"])


def _mark(event: Event, at_s: float) -> dict[str, Any]:
    text, bad = WORDS[event.kind](event)
    return {"at_s": at_s, "kind": event.kind, "node": event.get("node"), "text": text, "bad": bad}


def _signal_times(record: Record) -> dict[int, float]:
    """The journal writes down an orderly end when it is over; the signals say how long after its beginning they were sent."""
    times: dict[int, float] = {}
    waiting: dict[str, list[Event]] = {}
    for event in record.of_kind("signal", "stopped"):
        if event.kind == "signal":
            waiting.setdefault(event["node"], []).append(event)
            continue
        begin_s = event.at_s - event["took_s"]
        for signal in waiting.pop(event["node"], []):
            if signal.get("after_s") is not None:
                times[id(signal)] = round(begin_s + signal["after_s"], 6)
    return times


def _spawned(event: Event) -> tuple[str, bool]:
    how = "found running" if event["attached"] else "started"
    return f"{how}, pid {event['pid']}, start {event['incarnation']}, {event['address']}", False


def _ready(event: Event) -> tuple[str, bool]:
    return f"ready ({', '.join(event['gates'])})", False


def _adopted(event: Event) -> tuple[str, bool]:
    return f"went into the background, pid {event['pid']}", False


def _start_failed(event: Event) -> tuple[str, bool]:
    return event["message"], True


def _signalled(event: Event) -> tuple[str, bool]:
    return f"{event['signal']}: {event['why']}", False


def _exited(event: Event) -> tuple[str, bool]:
    if event["wanted"]:
        return event["says"], False
    if tolerated := event.get("tolerated"):
        return f"{event['says']}, as it may: {tolerated}", False
    return f"{event['says']}, which nobody had asked for", True


def _stopped(event: Event) -> tuple[str, bool]:
    left = [
        *event["leftovers"],
        *event["survivors"],
        *(["its port is still open"] if event["port_open"] else []),
    ]
    return (f"left behind: {'; '.join(left)}", True) if left else ("", False)


def _owned(event: Event) -> tuple[str, bool]:
    return (f"its port is not its own: {event['says']}", True) if event["strangers"] else ("", False)


def _surplus(event: Event) -> tuple[str, bool]:
    return f"bytes nobody had asked for: {event['received'][:80]!r}", True


WORDS: dict[str, Callable[[Event], tuple[str, bool]]] = {
    "spawn": _spawned,
    "adopted": _adopted,
    "ready": _ready,
    "start_failed": _start_failed,
    "signal": _signalled,
    "exit": _exited,
    "stopped": _stopped,
    "owner": _owned,
    "surplus": _surplus,
}
