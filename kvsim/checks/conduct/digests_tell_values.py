"""A node's digest changes when a value does."""

from __future__ import annotations

from kvsim.checks.fate import read_back
from kvsim.checks.verdict import Finding
from kvsim.history.journal import Event
from kvsim.history.outcome import Kind
from kvsim.history.record import Operation, Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every accepted write that was the only one between two answers of its node, and changed what the node shows."""
    judged, findings = 0, []
    for write in record.writes:
        if write.outcome.kind is not Kind.OK or not _changed(record, write):
            continue
        told = _around(record, write)
        if told is None or any(_between(other, *told) for other in record.writes if other is not write):
            continue
        before, after = (event["fields"].get("digest") for event in told)
        if before and after:
            judged += 1
            if before == after:
                text = f"`{write.verb} {write.key}` changed what {write.node} shows, and its digest is {after} as before"
                findings.append(Finding(text, write.step, write.node))
    return judged, findings


def _changed(record: Record, write: Operation) -> bool:
    before, after = (values.get(write.node) for values in read_back(record, write))
    known = before is not None and after is not None and before.kind is Kind.OK and after.kind is Kind.OK
    return known and before.value != after.value


def _around(record: Record, write: Operation) -> tuple[Event, Event] | None:
    """What the node told last before the write, and first behind it."""
    told = [event for event in record.of_kind("role") if event["node"] == write.node]
    before = [event for event in told if event.at_s <= write.invoked_s]
    after = [event for event in told if event.at_s >= write.completed_s]
    return (before[-1], after[0]) if before and after else None


def _between(other: Operation, before: Event, after: Event) -> bool:
    return other.completed_s >= before.at_s and other.invoked_s <= after.at_s
