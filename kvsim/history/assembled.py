"""One History out of all that a run recorded: its loads, the roles and faults of its journal, and the final reads.

Reads a run directory's values; judges nothing. All times are on the one monotonic clock, in nanoseconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvsim.history.history import ENDS_A_LIFE, FaultSpan, FinalRead, History, RoleSample
from kvsim.history.operations import COLUMNS, NEVER, NOWHERE, Operations
from kvsim.history.outcome import Kind

if TYPE_CHECKING:
    from kvsim.history.record import Operation, Record

FINAL = "final"  # the purpose of reads after healing and quiet
FINAL_PROCESS = 0  # loads number their clients from a million up


def assemble(record: Record, loads: Iterable[History]) -> History | None:
    """What the consistency checks read; None when the run had no load."""
    epoch_ns = next((event["epoch_ns"] for event in record.of_kind("load_start")), None)
    if epoch_ns is None:
        return None
    histories = list(loads)
    operations = joined(history.operations for history in histories)
    finals = [operation for operation in record.operations if operation.purpose == FINAL]
    _append_reads(operations, finals, epoch_ns)
    return History(
        operations=operations,
        samples=(*_as_configured(record, epoch_ns), *(s for history in histories for s in history.samples)),
        faults=(*_spans(record, epoch_ns), *_downtimes(record, epoch_ns)),
        finals=() if record.cut_short else tuple(_finals(finals, epoch_ns)),  # perhaps not the last ones
    )


def joined(several: Iterable[Operations]) -> Operations:
    """The operations of several recorders under one set of names. One alone is handed on as it is."""
    parts = list(several)
    if len(parts) == 1:
        return parts[0]
    whole = Operations()
    for part in parts:
        tables = {
            "node": [*map(whole.nodes.number, part.nodes.strings), NOWHERE],  # -1 stays -1
            "key": [*map(whole.keys.number, part.keys.strings)],
            "value": [*map(whole.values.number, part.values.strings)],
        }
        tables["expected"] = tables["value"]
        for name, code in COLUMNS.items():
            column = getattr(part, name)
            table = tables.get(name)
            getattr(whole, name).extend(
                column if table is None else array(code, map(table.__getitem__, column))
            )
    return whole


def _append_reads(operations: Operations, finals: list[Operation], epoch_ns: int) -> None:
    for read in finals:
        if read.outcome.kind is Kind.OK:
            call, back = _ns(read.invoked_s, epoch_ns), _ns(read.completed_s, epoch_ns)
            process = FINAL_PROCESS + read.id
            operations.add(
                call, max(call, back), process, read.key or "", "get", read.outcome.value, node=read.node
            )


def _finals(finals: list[Operation], epoch_ns: int) -> Iterable[FinalRead]:
    """The last answer of each node for each key."""
    last = {(read.node, read.key): read for read in finals if read.outcome.kind is Kind.OK}
    for (node, key), read in last.items():
        yield FinalRead(node, key or "", read.outcome.value, _ns(read.completed_s, epoch_ns))


def _as_configured(record: Record, epoch_ns: int) -> Iterable[RoleSample]:
    """Roles of programs that cannot be asked: what they were given, at the times kvsim looked."""
    for event in record.of_kind("role"):
        if event["how"] == "as configured" and event.get("role"):
            yield RoleSample(_ns(event.at_s, epoch_ns), event["node"], event["role"])


def _spans(record: Record, epoch_ns: int) -> Iterable[FaultSpan]:
    """Faults that really bit; one that never ended lasts for ever."""
    for fault in record.faults:
        if fault.bit and fault.began_s is not None:
            end = NEVER if fault.ended_s is None else _ns(fault.ended_s, epoch_ns)
            yield FaultSpan(fault.kind, fault.nodes, _ns(fault.began_s, epoch_ns), end)


def _downtimes(record: Record, epoch_ns: int) -> Iterable[FaultSpan]:
    """What steps (`kill`, `stop`, `restart`) did to nodes outside of faults while loads ran: from the signal until the node is
    ready again, which may be never.
    """
    loads_end_s = max((event.at_s for event in record.of_kind("load_stop")), default=0.0)
    for end in record.of_kind("exit"):
        node, start = end["node"], (end["node"], end["incarnation"])
        signals = [
            event for event in record.of_kind("signal") if (event["node"], event["incarnation"]) == start
        ]
        began_s = min([end.at_s, *(event.at_s for event in signals)])
        later = (event.at_s for event in record.of_kind("ready") if event["node"] == node)
        again_s = next((at_s for at_s in later if at_s > end.at_s), None)
        if not end["wanted"] or began_s > loads_end_s or _ended_by_a_fault(record, node, began_s, end.at_s):
            continue
        kind = "kill" if any(event["signal"] == "SIGKILL" for event in signals) else "restart"
        yield FaultSpan(
            kind, (node,), _ns(began_s, epoch_ns), NEVER if again_s is None else _ns(again_s, epoch_ns)
        )


def _ended_by_a_fault(record: Record, node: str, began_s: float, ended_s: float) -> bool:
    return any(
        fault.kind in ENDS_A_LIFE and node in fault.nodes and fault.lasted(began_s, ended_s)
        for fault in record.faults
    )


def _ns(seconds: float, epoch_ns: int) -> int:
    return epoch_ns + round(seconds * 1e9)
