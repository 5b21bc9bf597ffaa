"""A node answers each request once: no byte arrives that no request had asked for."""

from __future__ import annotations

from kvsim.checks.verdict import Finding
from kvsim.history.journal import to_bytes
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every request on a socket. A second or late answer is found before the next request, or when kvsim closes."""
    asked = [operation for operation in record.operations if operation.connection]
    found = [Finding(_say(o.node, o.unsolicited), o.step, o.node) for o in asked if o.unsolicited]
    found += [
        Finding(_say(e["node"], to_bytes(e["received"])), node=e["node"]) for e in record.of_kind("surplus")
    ]
    return len(asked), found


def _say(node: str, surplus: bytes) -> str:
    return f"{node} sent {len(surplus)} bytes that nobody had asked for: {surplus[:80]!r}"
