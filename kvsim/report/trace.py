"""A run in the Trace Event format, which Perfetto and Chrome's tracing read. Pure.

Processes are nodes (and kvsim's clients), threads their lanes; times are microseconds since the run began. The format is the one
described in Google's "Trace Event Format" document: X complete, i instant, C counter, M metadata events. A load is shown by how much
was asked, with which outcome, in each short stretch; its single operations stand in the film.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvsim.history.journal import to_text
from kvsim.history.operations import OUTCOMES, Operations
from kvsim.history.record import Operation, Record
from kvsim.report.film.process_events import process_events
from kvsim.report.film.spans import alive_spans, fault_spans, role_spans

CLIENTS, FAULTS, FIRST_NODE = 1, 2, 10
STEPS_LANE, SCENARIO_LANE, LOOKS_LANE = 1, 2, 3
LIFE_LANE, ROLE_LANE, EVENT_LANE = 1, 2, 3
COUNT_S = 0.02


def trace(record: Record) -> dict[str, Any]:
    """The whole trace, ready for JSON."""
    events = [
        *_names(record),
        *_steps(record),
        *_operations(record),
        *_nodes(record),
        *_faults(record),
        *_loads(record),
    ]
    meta = record.meta
    about = {"scenario": meta["scenario"], "seed": meta["seed"], "kvsim": meta["kvsim"]}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}


def _names(record: Record) -> Iterator[dict[str, Any]]:
    yield _name(CLIENTS, "clients")
    for lane, text in ((STEPS_LANE, "steps"), (SCENARIO_LANE, "scenario"), (LOOKS_LANE, "kvsim looks")):
        yield _name(CLIENTS, text, lane)
    yield _name(FAULTS, "faults")
    for node, pid in _pids(record).items():
        yield _name(pid, node)
        for lane, text in ((LIFE_LANE, "process"), (ROLE_LANE, "role"), (EVENT_LANE, "events")):
            yield _name(pid, text, lane)


def _name(pid: int, text: str, tid: int | None = None) -> dict[str, Any]:
    kind = "process_name" if tid is None else "thread_name"
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid or 0, "args": {"name": text}}


def _pids(record: Record) -> dict[str, int]:
    return {node: FIRST_NODE + number for number, node in enumerate(record.nodes)}


def _complete(name: str, pid: int, tid: int, begin_s: float, end_s: float, **args: Any) -> dict[str, Any]:
    times = {"ts": round(begin_s * 1e6, 3), "dur": round(max(0.0, end_s - begin_s) * 1e6, 3)}
    return {"ph": "X", "name": name, "cat": "kvsim", "pid": pid, "tid": tid, **times, "args": args}


def _steps(record: Record) -> Iterator[dict[str, Any]]:
    ends = {event["id"]: event for event in record.of_kind("step_end")}
    for event in record.of_kind("step"):
        end = ends.get(event["id"])
        end_s = end.at_s if end else _end_s(record)
        result = end["result"] if end else ""
        yield _complete(
            f"{event['id']} {event['text']}", CLIENTS, STEPS_LANE, event.at_s, end_s, result=result
        )


def _operations(record: Record) -> Iterator[dict[str, Any]]:
    for operation in record.operations:
        lane = LOOKS_LANE if operation.purpose in {"role", "readback"} else SCENARIO_LANE
        yield _complete(
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
        name = f"start {span['incarnation']}, pid {span['pid']}"
        yield _complete(name, pids[span["node"]], LIFE_LANE, span["begin_s"], _until(span, end_s))
    for span in role_spans(record):
        name = " ".join(filter(None, (span["role"] or "no role", span["epoch"])))
        yield _complete(name, pids[span["node"]], ROLE_LANE, span["begin_s"], _until(span, end_s))
    for mark in process_events(record):
        place = {"pid": pids.get(mark["node"], FAULTS), "tid": EVENT_LANE}
        at = {"ts": round(mark["at_s"] * 1e6, 3), "s": "p"}
        yield {"ph": "i", "name": mark["kind"], "cat": "kvsim", **place, **at, "args": {"what": mark["text"]}}


def _faults(record: Record) -> Iterator[dict[str, Any]]:
    for span in fault_spans(record):
        end_s = _until(span, _end_s(record))
        yield _complete(span["name"], FAULTS, 1, span["begin_s"], end_s, receipts=span["receipts"])


def _loads(record: Record) -> Iterator[dict[str, Any]]:
    """Operations in each stretch of COUNT_S, by outcome."""
    epoch_ns = next((event["epoch_ns"] for event in record.of_kind("load_start")), 0)
    given = record.history.operations if record.history else Operations()
    counts: dict[int, list[int]] = {}
    for call_ns, outcome in zip(given.call_ns, given.outcome, strict=True):
        counts.setdefault(int((call_ns - epoch_ns) / 1e9 / COUNT_S), [0] * len(OUTCOMES))[outcome] += 1
    shown = {
        near for place in counts for near in (place, place + 1)
    }  # the one after, where it falls to nothing
    for place in sorted(shown):
        args = dict(zip(OUTCOMES, counts.get(place, [0] * len(OUTCOMES)), strict=True))
        yield {
            "ph": "C",
            "name": "load",
            "pid": CLIENTS,
            "tid": 0,
            "ts": round(place * COUNT_S * 1e6),
            "args": args,
        }


def _until(span: dict[str, Any], end_s: float) -> float:
    return end_s if span["end_s"] is None else span["end_s"]


def _end_s(record: Record) -> float:
    return max((event.at_s for event in record.events), default=0.0)
