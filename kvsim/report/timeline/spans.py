"""Spans of a timeline: the incarnations of nodes, the roles they reported, faults.

Times are seconds since the run began. An end of None means that the record ends before the span.
"""

from __future__ import annotations

from typing import Any

from kvsim.history.history import History
from kvsim.history.journal import Event
from kvsim.history.run_record import FaultRecord, RunRecord

LINKS_SHOWN = 2
NO_TERMS = (None, "", "0", 0)

Span = dict[str, Any]


def incarnation_spans(record: RunRecord) -> list[Span]:
    """One for each start of a node, from spawn to exit, with when it was ready (None: never)."""
    spans: dict[tuple[str, int], Span] = {}
    for event in record.of_kind("spawn", "ready", "exit"):
        key = (event["node"], event["incarnation"])
        if event.kind == "spawn":
            spans[key] = {
                "node": event["node"],
                "incarnation": event["incarnation"],
                "pid": event["pid"],
                "begin_s": event.at_s,
                "ready_s": event.at_s if event["attached"] else None,
                "end_s": None,
            }
        elif key in spans:
            spans[key]["ready_s" if event.kind == "ready" else "end_s"] = event.at_s
    return list(spans.values())


def role_spans(record: RunRecord, history: History | None = None, epoch_ns: int = 0) -> list[Span]:
    """The roles that each node reported, each until it reported another one."""
    reports = [_role_event(event) for event in record.of_kind("role")]
    return _role_spans([*reports, *_sampled_roles(history, epoch_ns)] if history else reports)


def sampled_role_spans(history: History, epoch_ns: int, ticks_per_s: float = 1e9) -> list[Span]:
    """The same of a history alone."""
    return _role_spans(_sampled_roles(history, epoch_ns, ticks_per_s))


def _sampled_roles(history: History, epoch_ns: int, ticks_per_s: float = 1e9) -> list[Span]:
    return [
        {
            "at_s": (sample.at_ns - epoch_ns) / ticks_per_s,
            "node": sample.node,
            "role": sample.role,
            "term": _term(sample.term),
            "how": "reports",
        }
        for sample in history.samples
    ]


def _role_spans(reports: list[Span]) -> list[Span]:
    spans: list[Span] = []
    last: dict[str, Span] = {}
    for report in sorted(reports, key=lambda report: report["at_s"]):
        before = last.get(report["node"])
        if before and all(before[name] == report[name] for name in ("role", "term")):
            continue
        if before:
            before["end_s"] = report["at_s"]
        last[report["node"]] = {**report, "begin_s": report["at_s"], "end_s": None}
        spans.append(last[report["node"]])
    return spans


def _role_event(event: Event) -> Span:
    fields = event.get("fields") or {}
    return {
        "at_s": event.at_s,
        "node": event["node"],
        "role": event.get("role") or "",
        "term": _term(fields.get("term")),
        "how": event.get("how", ""),
    }


def _term(term: object) -> str:
    return "" if term in NO_TERMS else str(term)


def fault_spans(record: RunRecord) -> list[Span]:
    """Faults that began, with their targets, their evidence, and whether they recovered."""
    return [_fault(fault) for fault in record.faults if fault.began_s is not None]


def _fault(fault: FaultRecord) -> Span:
    return {
        "step": fault.id,
        "name": _fault_name(fault),
        "kind": fault.kind,
        "nodes": list(fault.nodes),
        "begin_s": fault.began_s,
        "end_s": fault.ended_s,
        "took_effect": fault.took_effect,
        "evidence": [item["message"] for item in fault.evidence],
        "recovered": fault.recovered,
        "recovery": list(fault.recovery),
    }


def _fault_name(fault: FaultRecord) -> str:
    """The kind, the targets (links by their ends), and the other settings."""
    settings = dict(fault.settings)
    links = [str(flow).replace("->", "→") for flow in settings.pop("flows", ())]
    more = f" and {len(links) - LINKS_SHOWN} more" if len(links) > LINKS_SHOWN else ""
    targets = ", ".join(links[:LINKS_SHOWN]) + more if links else ", ".join(fault.nodes)
    shown = [
        f"{name}={value}" for name, value in settings.items() if value not in (None, "", fault.kind)
    ]
    return " ".join(filter(None, (fault.kind, targets, *shown)))
