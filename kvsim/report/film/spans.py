"""Things with a beginning and an end: a process's life, a node's role, a fault. Pure; times in seconds since the run began.

An end of None means that the record ends before the thing does.
"""

from __future__ import annotations

from typing import Any

from kvsim.history.history import History
from kvsim.history.journal import Event
from kvsim.history.record import FaultRecord, Record

LINKS_SHOWN = 2


def alive_spans(record: Record) -> list[dict[str, Any]]:
    """One a start: node, incarnation, from spawn to exit, and when it was ready (None: never)."""
    spans: dict[tuple[str, int], dict[str, Any]] = {}
    for event in record.of_kind("spawn", "ready", "exit"):
        key = (event["node"], event["incarnation"])
        if event.kind == "spawn":
            names = ("node", "incarnation", "pid")
            ready_s = event.at_s if event["attached"] else None
            spans[key] = {
                **{n: event[n] for n in names},
                "begin_s": event.at_s,
                "ready_s": ready_s,
                "end_s": None,
            }
        elif key in spans:
            spans[key]["ready_s" if event.kind == "ready" else "end_s"] = event.at_s
    return list(spans.values())


def role_spans(record: Record, history: History | None = None, epoch_ns: int = 0) -> list[dict[str, Any]]:
    """What each node said of itself, from when it was said until it said otherwise. Asked, not remembered."""
    told = [_told(event) for event in record.of_kind("role")]
    told += [
        {
            "at_s": (s.at_ns - epoch_ns) / 1e9,
            "node": s.node,
            "role": s.role,
            "epoch": _text(s.epoch),
            "how": "says",
        }
        for s in (history.samples if history else ())
    ]
    spans: list[dict[str, Any]] = []
    last: dict[str, dict[str, Any]] = {}
    for one in sorted(told, key=lambda one: one["at_s"]):
        before = last.get(one["node"])
        if before and all(before[name] == one[name] for name in ("role", "epoch")):
            continue
        if before:
            before["end_s"] = one["at_s"]
        last[one["node"]] = {**one, "begin_s": one["at_s"], "end_s": None}
        spans.append(last[one["node"]])
    return spans


def _told(event: Event) -> dict[str, Any]:
    fields = event.get("fields") or {}
    epoch = fields.get("epoch")
    return {
        "at_s": event.at_s,
        "node": event["node"],
        "role": event.get("role") or "",
        "epoch": _text(epoch),
        "how": event.get("how", ""),
    }


def _text(epoch: object) -> str:
    return "" if epoch in {None, "", "0", 0} else str(epoch)


def fault_spans(record: Record) -> list[dict[str, Any]]:
    """Faults that began, with whom they hit, what showed that they bit, and whether they were healed."""
    return [_fault(fault) for fault in record.faults if fault.began_s is not None]


def _fault(fault: FaultRecord) -> dict[str, Any]:
    return {
        "step": fault.id,
        "name": _name(fault),
        "kind": fault.kind,
        "nodes": list(fault.nodes),
        "begin_s": fault.began_s,
        "end_s": fault.ended_s,
        "bit": fault.bit,
        "receipts": [receipt["says"] for receipt in fault.receipts],
        "healed": fault.healed,
        "healing": list(fault.healing),
    }


def _name(fault: FaultRecord) -> str:
    """Kind, whom it hits (links by their ends), and its other settings."""
    settings = dict(fault.settings)
    links = [str(flow).replace("->", "→") for flow in settings.pop("flows", ())]
    more = f" and {len(links) - LINKS_SHOWN} more" if len(links) > LINKS_SHOWN else ""
    whom = ", ".join(links[:LINKS_SHOWN]) + more if links else ", ".join(fault.nodes)
    said = [f"{name}={value}" for name, value in settings.items() if value not in (None, "", fault.kind)]
    return " ".join(filter(None, (fault.kind, whom, *said)))
