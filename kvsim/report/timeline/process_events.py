"""Events of nodes, as symbols on their lanes: started, ready, signalled, ended; terms and votes.

DESCRIPTIONS has one row for each kind of the journal; other kinds are not shown. What a node logs
of elections is shown as it logged it (`elections: {logs: …}` of node.yaml).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kvsim.checks.election_lines import election_lines
from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord


def process_events(record: RunRecord) -> list[dict[str, Any]]:
    """In order of time: `at_s`, `kind`, `node`, `text`, and whether it is `bad`."""
    sent_s = _signal_times(record)
    events = [
        _shown(event, sent_s.get(id(event), event.at_s))
        for event in record.events
        if event.kind in DESCRIPTIONS
    ]
    shown = [*(event for event in events if event["text"]), *_of_elections(record)]
    return sorted(shown, key=lambda event: event["at_s"])


def _of_elections(record: RunRecord) -> Iterator[dict[str, Any]]:
    for node, lines in election_lines(record).items():
        for line in lines:
            yield {
                "at_s": line.written_s,
                "kind": f"election_{line.kind}",
                "node": node,
                "text": str(line),
                "bad": False,
            }


def _shown(event: Event, at_s: float) -> dict[str, Any]:
    text, bad = DESCRIPTIONS[event.kind](event)
    return {"at_s": at_s, "kind": event.kind, "node": event.get("node"), "text": text, "bad": bad}


def _signal_times(record: RunRecord) -> dict[int, float]:
    """Signal event (by its id()) → when the signal was sent.

    The journal records the signals of an orderly stop when the stop is over, with how long after
    its begin each was sent.
    """
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


# What to show, and whether it is bad. An empty text: nothing is shown.
Description = tuple[str, bool]
NOT_SHOWN: Description = ("", False)


def _spawned(event: Event) -> Description:
    how = "found running" if event["attached"] else "started"
    return f"{how}, pid {event['pid']}, start {event['incarnation']}, {event['address']}", False


def _ready(event: Event) -> Description:
    return f"ready ({', '.join(event['probes'])})", False


def _adopted(event: Event) -> Description:
    return f"went into the background, pid {event['pid']}", False


def _failed(event: Event) -> Description:
    return event["message"], True


def _signalled(event: Event) -> Description:
    return f"{event['signal']}: {event['why']}", False


def _exited(event: Event) -> Description:
    if event["requested"]:
        return event["description"], False
    if tolerated := event.get("tolerated"):
        return f"{event['description']}, which is tolerated: {tolerated}", False
    return f"{event['description']}, and kvsim had not requested it", True


def _stopped(event: Event) -> Description:
    left = [*event["leftovers"], *event["survivors"]]
    if event["port_open"]:
        left.append("its port is still open")
    return (f"left behind: {'; '.join(left)}", True) if left else NOT_SHOWN


def _owned(event: Event) -> Description:
    if not event["foreign"]:
        return NOT_SHOWN
    return f"another process has its port: {event['description']}", True


def _unsolicited(event: Event) -> Description:
    return f"unsolicited bytes: {event['received'][:80]!r}", True


DESCRIPTIONS: dict[str, Callable[[Event], Description]] = {
    "spawn": _spawned,
    "adopted": _adopted,
    "ready": _ready,
    "start_failed": _failed,
    "signal": _signalled,
    "stop_command_failed": _failed,
    "exit": _exited,
    "stopped": _stopped,
    "owner": _owned,
    "unsolicited": _unsolicited,
}
