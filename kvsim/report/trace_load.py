"""What the loads of a run did, for its trace: each client's operations in a lane, and how many there were in each short stretch. Pure.

Of a load too long to show whole, operations are left out evenly; the trace says so in words, and the counts count all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kvsim.history.assembled import FINAL
from kvsim.history.operations import ABSENT, KINDS, NEVER, NOWHERE, OUTCOMES, Operations
from kvsim.history.outcome import Kind
from kvsim.history.record import Record
from kvsim.report.clients import lanes_of, thinned
from kvsim.report.trace_events import complete, count, label, name

LIMIT = 50_000  # operations: a file of some 10 MB
COUNT_S = 0.02


def load_events(record: Record, pid: int, end_s: float) -> Iterator[dict[str, Any]]:
    """Everything of the loads, as the process `pid`; nothing when there was none. `end_s` is when the run ended."""
    if record.history is None:
        return
    operations, epoch_ns = record.history.operations, _epoch_ns(record)
    _, rows = thinned(operations.outcome[: _made(record)], LIMIT)
    shown = operations.select(rows)
    lanes = lanes_of(shown.process, shown.call_ns, shown.return_ns)
    yield name(pid, "load")
    yield label(pid, load_shown(record))
    for lane in sorted(set(lanes.values())):
        yield name(pid, f"client {lane + 1}", lane + 1)
    end_ns = epoch_ns + round(end_s * 1e9)
    for row, until_ns in enumerate(_until(shown, lanes, end_ns, _patience_ns(record))):
        yield _operation(shown, row, pid, lanes[shown.process[row]] + 1, epoch_ns, until_ns)
    yield from _counts(operations, pid, epoch_ns)


def load_shown(record: Record) -> str:
    """Which operations of the loads the trace holds, in words; empty when there was no load."""
    if record.history is None:
        return ""
    made = _made(record)
    every, rows = thinned(record.history.operations.outcome[:made], LIMIT)
    if every == 1:
        return f"all {made:,} operations"
    return f"{len(rows):,} of {made:,} operations, one in {every}; the others are left out, in the counts are all"


def _made(record: Record) -> int:
    """How many operations the loads made; behind them stand kvsim's own final reads."""
    finals = sum(one.purpose == FINAL and one.outcome.kind is Kind.OK for one in record.operations)
    return len(record.history.operations) - finals if record.history else 0


def _epoch_ns(record: Record) -> int:
    return next((event["epoch_ns"] for event in record.of_kind("load_start")), 0)


def _patience_ns(record: Record) -> int:
    """The longest that a client of any load waits for an answer."""
    timeouts = [event.get("timeout_s") or 0.0 for event in record.of_kind("load_start")]
    return round(max(timeouts, default=0.0) * 1e9) or NEVER


def _until(operations: Operations, lanes: dict[int, int], end_ns: int, patience_ns: int) -> Sequence[int]:
    """When each operation was over for its client. One without an answer lasts until its client gave up: no longer than its
    patience, and not beyond what comes next in its lane."""
    until = list(operations.return_ns)
    next_call: dict[int, int] = {}
    for row in sorted(range(len(until)), key=operations.call_ns.__getitem__, reverse=True):
        lane, call = lanes[operations.process[row]], operations.call_ns[row]
        if until[row] == NEVER:
            until[row] = min(call + patience_ns, next_call.get(lane, max(call, end_ns)))
        next_call[lane] = call
    return until


def _operation(
    operations: Operations, row: int, pid: int, tid: int, epoch_ns: int, until_ns: int
) -> dict[str, Any]:
    call_ns, node, value = operations.call_ns[row], operations.node[row], operations.value[row]
    outcome = OUTCOMES[operations.outcome[row]]
    title = f"{KINDS[operations.kind[row]]} {operations.keys[operations.key[row]]}"
    args: dict[str, Any] = {"outcome": outcome, "client": operations.process[row]}
    if node != NOWHERE:
        args["node"] = operations.nodes[node]
    if value != ABSENT:
        args["value"] = operations.values[value]
    mark = "" if outcome == "ok" else f" {outcome}"
    begin_s, end_s = ((at_ns - epoch_ns) / 1e9 for at_ns in (call_ns, until_ns))
    return complete(title + mark, pid, tid, begin_s, end_s, **args)


def _counts(operations: Operations, pid: int, epoch_ns: int) -> Iterator[dict[str, Any]]:
    """Operations in each stretch of COUNT_S, by outcome."""
    counts: dict[int, list[int]] = {}
    for call_ns, outcome in zip(operations.call_ns, operations.outcome, strict=True):
        counts.setdefault(int((call_ns - epoch_ns) / 1e9 / COUNT_S), [0] * len(OUTCOMES))[outcome] += 1
    shown = {near for place in counts for near in (place, place + 1)}  # one more, where it falls to nothing
    for place in sorted(shown):
        series = dict(zip(OUTCOMES, counts.get(place, [0] * len(OUTCOMES)), strict=True))
        yield count("operations", pid, place * COUNT_S, **series)
