"""Build one History from everything that a run recorded.

Its parts are the histories of the loads, the roles and faults of the journal, and the final reads.
Reads and judges nothing else. All times are nanoseconds of the one monotonic clock.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

from kvsim.history.binary_file import load
from kvsim.history.history import NODE_ENDED, FaultSpan, FinalRead, History, RoleSample
from kvsim.history.operations import COLUMNS, NEVER, NOWHERE, Operations
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import UNKNOWN_ROLE, RequestRecord, RunRecord
from kvsim.run_directory import load_name

# The purpose of the reads after all faults and loads have ended.
FINAL = "final"
# The n-th load of a run numbers its clients from n millions up.
CLIENTS_OF_ONE_LOAD = 1_000_000
FINAL_PROCESS = 0


def build_history(record: RunRecord) -> History | None:
    """The history that the consistency checks read; None when the run had no load.

    Built once for each record. Raises HistoryFileError when the file of a load cannot be read.
    """
    return record.built(_build)


def epoch_ns_of(record: RunRecord) -> int | None:
    """The time in a history at which the journal's clock is zero; None: the run had no load."""
    return next((event["epoch_ns"] for event in record.of_kind("load_start")), None)


def _build(record: RunRecord) -> History | None:
    epoch_ns = epoch_ns_of(record)
    if epoch_ns is None:
        return None
    # Before anything is appended: the operations of a single load are not copied.
    missing = incomplete_loads(record)
    histories = [*record.built(histories_of).values()]
    operations = join(history.operations for history in histories)
    # Of what an unrecorded operation wrote, nothing follows.
    final_reads = [
        request
        for request in record.operations
        if request.purpose == FINAL and not missing and not _was_emptied(record, request)
    ]
    _append_reads(operations, final_reads, epoch_ns)
    return History(
        operations=operations,
        samples=(
            *_configured_roles(record, epoch_ns),
            *(sample for history in histories for sample in history.samples),
        ),
        faults=(*_fault_spans(record, epoch_ns), *_downtimes(record, epoch_ns)),
        # Of a run that was cut short, the reads may not be the last ones.
        finals=() if record.cut_short else tuple(_last_reads(final_reads, epoch_ns)),
        gaps=tuple(
            (_ns(gap.began_s, epoch_ns), _ns(gap.ended_s, epoch_ns)) for gap in record.clock_gaps
        ),
    )


def histories_of(record: RunRecord) -> Mapping[str, History]:
    """Load → its history, of every load that was started and whose file is there."""
    started = {event["name"] for event in record.of_kind("load_start")}
    return {name: load(path) for path in record.loads if (name := load_name(path)) in started}


def incomplete_loads(record: RunRecord) -> list[str]:
    """The loads whose history is missing, or does not hold all operations that they made."""
    return record.built(_incomplete_loads)


def _incomplete_loads(record: RunRecord) -> list[str]:
    histories = record.built(histories_of)
    counts = {event["name"]: event["counts"] for event in record.of_kind("load_stop")}
    return [
        event["name"]
        for event in record.of_kind("load_start")
        if event["name"] not in histories
        or not _holds_all(histories[event["name"]], counts.get(event["name"]))
    ]


def _holds_all(history: History, counts: Mapping[str, float] | None) -> bool:
    """Whether the history has as many operations as were counted; yes where they were not."""
    if counts is None:
        return True
    return len(history.operations) == sum(counts.get(str(kind), 0) for kind in OutcomeKind)


def join(several: Iterable[Operations]) -> Operations:
    """The operations of several recorders with common string tables.

    A single one is returned unchanged.
    """
    parts = list(several)
    if len(parts) == 1:
        return parts[0]
    whole = Operations()
    for part in parts:
        values = [*map(whole.values.number, part.values.strings)]
        numbers: Mapping[str, list[int]] = {
            # The last entry keeps the node number -1.
            "node": [*map(whole.nodes.number, part.nodes.strings), NOWHERE],
            "key": [*map(whole.keys.number, part.keys.strings)],
            "value": values,
            "expected": values,
        }
        for name, code in COLUMNS.items():
            column = getattr(part, name)
            table = numbers.get(name)
            getattr(whole, name).extend(
                column if table is None else array(code, map(table.__getitem__, column))
            )
    return whole


def _append_reads(operations: Operations, reads: list[RequestRecord], epoch_ns: int) -> None:
    for read in reads:
        if read.outcome.kind is OutcomeKind.OK:
            call_ns, return_ns = _ns(read.invoked_s, epoch_ns), _ns(read.completed_s, epoch_ns)
            operations.add(
                call_ns,
                max(call_ns, return_ns),
                FINAL_PROCESS + read.id,
                read.key or "",
                "get",
                read.outcome.value,
                node=read.node,
            )


def _was_emptied(record: RunRecord, read: RequestRecord) -> bool:
    """Whether nothing follows from a final read: the node had no key, its program says
    `keeps: nothing`, and it was started again after the loads had begun.
    """
    if read.outcome.value is not None or record.nodes[read.node].get("keeps") != "nothing":
        return False
    began_s = min(event.at_s for event in record.of_kind("load_start"))
    return any(
        event["node"] == read.node and event["incarnation"] > 1 and event.at_s > began_s
        for event in record.of_kind("spawn")
    )


def _last_reads(reads: list[RequestRecord], epoch_ns: int) -> Iterable[FinalRead]:
    """The last response of each node for each key."""
    last = {(read.node, read.key): read for read in reads if read.outcome.kind is OutcomeKind.OK}
    for (node, key), read in last.items():
        yield FinalRead(node, key or "", read.outcome.value, _ns(read.completed_s, epoch_ns))


def _configured_roles(record: RunRecord, epoch_ns: int) -> Iterable[RoleSample]:
    """The roles of programs without a status request: those of the cluster file.

    None of a node whose role was not known any more later: since when, nothing says.
    """
    lost = {event["node"] for event in record.of_kind("role") if event["how"] == UNKNOWN_ROLE}
    for event in record.of_kind("role"):
        if event["how"] == "as configured" and event.get("role") and event["node"] not in lost:
            yield RoleSample(_ns(event.at_s, epoch_ns), event["node"], event["role"])


def _fault_spans(record: RunRecord, epoch_ns: int) -> Iterable[FaultSpan]:
    """The faults that took effect. The end of one that did not end is NEVER."""
    for fault in record.faults:
        if fault.took_effect and fault.began_s is not None:
            end_ns = NEVER if fault.ended_s is None else _ns(fault.ended_s, epoch_ns)
            began_ns = _ns(fault.began_s, epoch_ns)
            yield FaultSpan(fault.kind, fault.nodes, began_ns, end_ns, fault.traits)


def _downtimes(record: RunRecord, epoch_ns: int) -> Iterable[FaultSpan]:
    """What the steps `kill`, `stop` and `restart` did to nodes while loads ran, outside of faults.

    Each lasts from the signal until the node is ready again, which may be NEVER.
    """
    loads_end_s = max((event.at_s for event in record.of_kind("load_stop")), default=0.0)
    for end in record.of_kind("exit"):
        node, incarnation = end["node"], (end["node"], end["incarnation"])
        signals = [
            event
            for event in record.of_kind("signal")
            if (event["node"], event["incarnation"]) == incarnation
        ]
        began_s = min([end.at_s, *(event.at_s for event in signals)])
        ready_s = (event.at_s for event in record.of_kind("ready") if event["node"] == node)
        recovered_s = next((at_s for at_s in ready_s if at_s > end.at_s), None)
        if (
            not end["requested"]
            or began_s > loads_end_s
            or _ended_by_a_fault(record, node, began_s, end.at_s)
        ):
            continue
        kind = "kill" if any(event["signal"] == "SIGKILL" for event in signals) else "restart"
        ended_ns = NEVER if recovered_s is None else _ns(recovered_s, epoch_ns)
        yield FaultSpan(kind, (node,), _ns(began_s, epoch_ns), ended_ns, NODE_ENDED)


def _ended_by_a_fault(record: RunRecord, node: str, began_s: float, ended_s: float) -> bool:
    return any(
        fault.traits.ends_nodes != "no" and node in fault.nodes and fault.lasted(began_s, ended_s)
        for fault in record.faults
    )


def _ns(seconds: float, epoch_ns: int) -> int:
    return epoch_ns + round(seconds * 1e9)
