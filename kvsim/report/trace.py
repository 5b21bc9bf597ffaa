"""A run in the Trace Event format, which Perfetto and Chrome's tracing read. Pure.

Processes are nodes (and kvsim's clients), threads their lanes; times are microseconds since the run began. The format is the one
described in Google's "Trace Event Format" document: X complete, i instant, C counter, M metadata events. What a load did is
`trace_load`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvsim.history.journal import to_text
from kvsim.history.record import Operation, Record
from kvsim.report.film.process_events import process_events
from kvsim.report.film.spans import alive_spans, fault_spans, role_spans
from kvsim.report.trace_events import complete, name
from kvsim.report.trace_load import load_events, load_shown

CLIENTS, FAULTS, LOAD, FIRST_NODE = 1, 2, 3, 10
STEPS_LANE, SCENARIO_LANE, LOOKS_LANE = 1, 2, 3
LIFE_LANE, ROLE_LANE, EVENT_LANE = 1, 2, 3


def trace(record: Record) -> dict[str, Any]:
    """The whole trace, ready for JSON."""
    events = [
        *_names(record),
        *_steps(record),
        *_operations(record),
        *_nodes(record),
        *_faults(record),
        *load_events(record, LOAD, _end_s(record)),
    ]
    meta = record.meta
    about = {word: meta[word] for word in ("scenario", "seed", "kvsim")}
    about["load"] = load_shown(record)
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}


def _names(record: Record) -> Iterator[dict[str, Any]]:
    yield name(CLIENTS, "clients")
    for lane, text in ((STEPS_LANE, "steps"), (SCENARIO_LANE, "scenario"), (LOOKS_LANE, "kvsim looks")):
        yield name(CLIENTS, text, lane)
    yield name(FAULTS, "faults")
    for node, pid in _pids(record).items():
        yield name(pid, node)
        for lane, text in ((LIFE_LANE, "process"), (ROLE_LANE, "role"), (EVENT_LANE, "events")):
            yield name(pid, text, lane)


def _pids(record: Record) -> dict[str, int]:
    return {node: FIRST_NODE + number for number, node in enumerate(record.nodes)}


def _steps(record: Record) -> Iterator[dict[str, Any]]:
    ends = {event["id"]: event for event in record.of_kind("step_end")}
    for event in record.of_kind("step"):
        end = ends.get(event["id"])
        end_s = end.at_s if end else _end_s(record)
        result = end["result"] if end else ""
        yield complete(
            f"{event['id']} {event['text']}", CLIENTS, STEPS_LANE, event.at_s, end_s, result=result
        )


def _operations(record: Record) -> Iterator[dict[str, Any]]:
    for operation in record.operations:
        lane = LOOKS_LANE if operation.purpose in {"role", "readback"} else SCENARIO_LANE
        yield complete(
            _title(operation),
            CLIENTS,
            lane,
            operation.invoked_s,
            operation.completed_s,
            outcome=str(operation.outcome.kind),
            reason=str(operation.outcome.reason or ""),
            purpose=operation.purpose,
            sent=to_text(operation.sent),
            received=to_text(operation.received),
        )


def _title(operation: Operation) -> str:
    return " ".join(filter(None, (operation.verb, operation.key, "at", operation.node)))


def _nodes(record: Record) -> Iterator[dict[str, Any]]:
    pids, end_s = _pids(record), _end_s(record)
    for span in alive_spans(record):
        title = f"start {span['incarnation']}, pid {span['pid']}"
        yield complete(title, pids[span["node"]], LIFE_LANE, span["begin_s"], _until(span, end_s))
    for span in role_spans(record):
        title = " ".join(filter(None, (span["role"] or "no role", span["epoch"])))
        yield complete(title, pids[span["node"]], ROLE_LANE, span["begin_s"], _until(span, end_s))
    for mark in process_events(record):
        place = {"pid": pids.get(mark["node"], FAULTS), "tid": EVENT_LANE}
        at = {"ts": round(mark["at_s"] * 1e6, 3), "s": "p"}
        yield {"ph": "i", "name": mark["kind"], "cat": "kvsim", **place, **at, "args": {"what": mark["text"]}}


def _faults(record: Record) -> Iterator[dict[str, Any]]:
    for span in fault_spans(record):
        end_s = _until(span, _end_s(record))
        yield complete(span["name"], FAULTS, 1, span["begin_s"], end_s, receipts=span["receipts"])


def _until(span: dict[str, Any], end_s: float) -> float:
    return end_s if span["end_s"] is None else span["end_s"]


def _end_s(record: Record) -> float:
    return max((event.at_s for event in record.events), default=0.0)
