"""A run in the Trace Event format, which Perfetto and Chrome's tracing read.

Processes are nodes and kvsim's clients, threads their lanes; times are microseconds since the run
began. The format is described in Google's "Trace Event Format": X complete, i instant, C counter,
M metadata events.

Of a load with too many operations, only some are written, evenly spread; the trace states how
many. The counters count all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kvsim.history.build import FINAL, epoch_ns_of
from kvsim.history.history import History
from kvsim.history.journal import to_text
from kvsim.history.operations import ABSENT, KINDS, NEVER, NOWHERE, OUTCOMES, Operations
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import RequestRecord, RunRecord
from kvsim.report.client_lanes import assign_lanes, thin
from kvsim.report.timeline.process_events import process_events
from kvsim.report.timeline.spans import fault_spans, incarnation_spans, role_spans

TraceEvent = dict[str, Any]

CLIENTS_PID, FAULTS_PID, LOAD_PID, FIRST_NODE_PID = 1, 2, 3, 10
STEPS_LANE, SCENARIO_LANE, OBSERVATIONS_LANE = 1, 2, 3
PROCESS_LANE, ROLE_LANE, EVENT_LANE = 1, 2, 3

# Operations of a load: a file of some 10 MB.
LOAD_LIMIT = 50_000
COUNTER_PERIOD_S = 0.02


def trace(record: RunRecord, history: History | None = None) -> dict[str, Any]:
    """The whole trace, ready for JSON. `history` is that of the loads; None: there was no load."""
    load = LoadTrace(record, history) if history else None
    events = [
        *_names(record),
        *_steps(record),
        *_requests(record),
        *_nodes(record),
        *_usage(record),
        *_faults(record),
        *(load.events() if load else ()),
    ]
    about = {name: record.meta[name] for name in ("scenario", "seed", "kvsim")}
    about["record"] = record.digest
    about["load"] = load.summary() if load else ""
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}


def _process_name(pid: int, text: str) -> TraceEvent:
    return _metadata("process_name", pid, 0, name=text)


def _thread_name(pid: int, tid: int, text: str) -> TraceEvent:
    return _metadata("thread_name", pid, tid, name=text)


def _metadata(kind: str, pid: int, tid: int, **args: str) -> TraceEvent:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": args}


def _complete(
    title: str, pid: int, tid: int, begin_s: float, end_s: float, **args: Any
) -> TraceEvent:
    """Something that lasted from `begin_s` to `end_s`."""
    times = {"ts": round(begin_s * 1e6, 3), "dur": round(max(0.0, end_s - begin_s) * 1e6, 3)}
    return {"ph": "X", "name": title, "cat": "kvsim", "pid": pid, "tid": tid, **times, "args": args}


def _instant(title: str, pid: int, tid: int, at_s: float, **args: Any) -> TraceEvent:
    """Something that happened at `at_s`, of the whole process `pid`."""
    at = {"ts": round(at_s * 1e6, 3), "s": "p"}
    return {"ph": "i", "name": title, "cat": "kvsim", "pid": pid, "tid": tid, **at, "args": args}


def _counter(title: str, pid: int, at_s: float, **series: int) -> TraceEvent:
    """Numbers that hold from `at_s` on."""
    return {"ph": "C", "name": title, "pid": pid, "tid": 0, "ts": round(at_s * 1e6), "args": series}


def _names(record: RunRecord) -> Iterator[TraceEvent]:
    yield _process_name(CLIENTS_PID, "clients")
    yield _thread_name(CLIENTS_PID, STEPS_LANE, "steps")
    yield _thread_name(CLIENTS_PID, SCENARIO_LANE, "scenario")
    yield _thread_name(CLIENTS_PID, OBSERVATIONS_LANE, "observations")
    yield _process_name(FAULTS_PID, "faults")
    for node, pid in _pids(record).items():
        yield _process_name(pid, node)
        yield _thread_name(pid, PROCESS_LANE, "process")
        yield _thread_name(pid, ROLE_LANE, "role")
        yield _thread_name(pid, EVENT_LANE, "events")


def _pids(record: RunRecord) -> dict[str, int]:
    return {node: FIRST_NODE_PID + number for number, node in enumerate(record.nodes)}


def _steps(record: RunRecord) -> Iterator[TraceEvent]:
    ends = {event["id"]: event for event in record.of_kind("step_end")}
    for event in record.of_kind("step"):
        end = ends.get(event["id"])
        end_s = end.at_s if end else _end_s(record)
        result = end["result"] if end else ""
        title = f"{event['id']} {event['text']}"
        yield _complete(title, CLIENTS_PID, STEPS_LANE, event.at_s, end_s, result=result)


def _requests(record: RunRecord) -> Iterator[TraceEvent]:
    for request in record.operations:
        observation = request.purpose in {"role", "readback"}
        yield _complete(
            _request_title(request),
            CLIENTS_PID,
            OBSERVATIONS_LANE if observation else SCENARIO_LANE,
            request.invoked_s,
            request.completed_s,
            outcome=str(request.outcome.kind),
            reason=str(request.outcome.reason or ""),
            purpose=request.purpose,
            sent=to_text(request.sent),
            received=to_text(request.received),
        )


def _request_title(request: RequestRecord) -> str:
    return " ".join(filter(None, (request.verb, request.key, "at", request.node)))


def _nodes(record: RunRecord) -> Iterator[TraceEvent]:
    pids, end_s = _pids(record), _end_s(record)
    for span in incarnation_spans(record):
        title = f"start {span['incarnation']}, pid {span['pid']}"
        yield _complete(
            title, pids[span["node"]], PROCESS_LANE, span["begin_s"], _until(span, end_s)
        )
    for span in role_spans(record):
        title = " ".join(filter(None, (span["role"] or "no role", span["term"])))
        yield _complete(title, pids[span["node"]], ROLE_LANE, span["begin_s"], _until(span, end_s))
    for event in process_events(record):
        pid = pids.get(event["node"], FAULTS_PID)
        yield _instant(event["kind"], pid, EVENT_LANE, event["at_s"], what=event["text"])


def _usage(record: RunRecord) -> Iterator[TraceEvent]:
    """What each node used, as counters of its own."""
    pids = _pids(record)
    for event in record.of_kind("usage"):
        for title in ("memory", "threads", "files", "disk"):
            yield _counter(title, pids[event["node"]], event.at_s, **{title: event[title]})


def _faults(record: RunRecord) -> Iterator[TraceEvent]:
    for span in fault_spans(record):
        end_s = _until(span, _end_s(record))
        yield _complete(
            span["name"], FAULTS_PID, 1, span["begin_s"], end_s, evidence=span["evidence"]
        )


def _until(span: dict[str, Any], end_s: float) -> float:
    until: float | None = span["end_s"]
    return end_s if until is None else until


def _end_s(record: RunRecord) -> float:
    return max((event.at_s for event in record.events), default=0.0)


class LoadTrace:
    """The loads of a run: some of each client's operations in a lane, and counters of all."""

    def __init__(self, record: RunRecord, history: History) -> None:
        self._epoch_ns = epoch_ns_of(record) or 0
        self._end_ns = self._epoch_ns + round(_end_s(record) * 1e9)
        self._request_timeout_ns = _longest_timeout_ns(record)
        self._operations = history.operations
        # Kvsim's own final reads follow the operations of the loads.
        self._count = len(history.operations) - _final_read_count(record)
        self._every, self._rows = thin(history.operations.outcome[: self._count], LOAD_LIMIT)

    def summary(self) -> str:
        """Which operations the trace holds."""
        if self._every == 1:
            return f"all {self._count:,} operations"
        return (
            f"{len(self._rows):,} of {self._count:,} operations, one in {self._every}; the others "
            "are left out, and the counters count all"
        )

    def events(self) -> Iterator[TraceEvent]:
        """Everything of the loads, as one process of the trace."""
        written = self._operations.select(self._rows)
        lanes = assign_lanes(written.process, written.call_ns, written.return_ns)
        yield _process_name(LOAD_PID, "load")
        yield _metadata("process_labels", LOAD_PID, 0, labels=self.summary())
        for lane in sorted(set(lanes.values())):
            yield _thread_name(LOAD_PID, lane + 1, f"client {lane + 1}")
        for row, end_ns in enumerate(self._ends_ns(written, lanes)):
            yield self._operation(written, row, lanes[written.process[row]] + 1, end_ns)
        yield from self._counters()

    def _ends_ns(self, operations: Operations, lanes: dict[int, int]) -> Sequence[int]:
        """When each operation was over for its client.

        One without an answer ends with its client's time limit, or when the next operation of its
        lane begins, whichever is first.
        """
        ends = list(operations.return_ns)
        next_call: dict[int, int] = {}
        for row in sorted(range(len(ends)), key=operations.call_ns.__getitem__, reverse=True):
            lane, call_ns = lanes[operations.process[row]], operations.call_ns[row]
            if ends[row] == NEVER:
                limit_ns = next_call.get(lane, max(call_ns, self._end_ns))
                ends[row] = min(call_ns + self._request_timeout_ns, limit_ns)
            next_call[lane] = call_ns
        return ends

    def _operation(self, operations: Operations, row: int, tid: int, end_ns: int) -> TraceEvent:
        node, value = operations.node[row], operations.value[row]
        outcome = OUTCOMES[operations.outcome[row]]
        title = f"{KINDS[operations.kind[row]]} {operations.keys[operations.key[row]]}"
        args: dict[str, Any] = {"outcome": outcome, "client": operations.process[row]}
        if node != NOWHERE:
            args["node"] = operations.nodes[node]
        if value != ABSENT:
            args["value"] = operations.values[value]
        suffix = "" if outcome == "ok" else f" {outcome}"
        begin_s, end_s = self._seconds(operations.call_ns[row]), self._seconds(end_ns)
        return _complete(title + suffix, LOAD_PID, tid, begin_s, end_s, **args)

    def _counters(self) -> Iterator[TraceEvent]:
        """Operations that began in each period, by outcome."""
        counts: dict[int, list[int]] = {}
        none = [0] * len(OUTCOMES)
        for call_ns, outcome in zip(
            self._operations.call_ns, self._operations.outcome, strict=True
        ):
            period = int(self._seconds(call_ns) / COUNTER_PERIOD_S)
            counts.setdefault(period, list(none))[outcome] += 1
        # The period after one with operations is written, too, so that the counter falls to zero.
        periods = sorted({period + after for period in counts for after in (0, 1)})
        for period in periods:
            series = dict(zip(OUTCOMES, counts.get(period, none), strict=True))
            yield _counter("operations", LOAD_PID, period * COUNTER_PERIOD_S, **series)

    def _seconds(self, at_ns: int) -> float:
        return (at_ns - self._epoch_ns) / 1e9


def _final_read_count(record: RunRecord) -> int:
    return sum(
        request.purpose == FINAL and request.outcome.kind is OutcomeKind.OK
        for request in record.operations
    )


def _longest_timeout_ns(record: RunRecord) -> int:
    """The longest that a client of any load waits for an answer."""
    timeouts = [event.get("timeout_s") or 0.0 for event in record.of_kind("load_start")]
    return round(max(timeouts, default=0.0) * 1e9) or NEVER
