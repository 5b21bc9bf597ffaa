"""Nothing is left of a node that has ended: no process, no listening port."""

from __future__ import annotations

from kvsim.checks.verdict import Finding
from kvsim.history.journal import Event
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every node that was stopped, over its whole process tree."""
    stops = list(record.of_kind("stopped"))
    return len(stops), [Finding(text, node=event["node"]) for event in stops for text in _left(event)]


def _left(event: Event) -> list[str]:
    node = event["node"]
    found = [f"{node} left a process behind, which kvsim killed: {text}" for text in event["leftovers"]]
    found += [f"a process of {node} cannot be killed: {text}" for text in event["survivors"]]
    return found + ([f"{node}'s port is still open after it has ended"] if event["port_open"] else [])
