"""A node keeps a client's connection open from one request to the next."""

from __future__ import annotations

from kvsim.checks.verdict import Finding
from kvsim.history.outcome import Kind
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges programs whose protocol keeps connections. A new connection after an answered request means that the node closed,
    unless the node spoke unasked before (from then on it is kvsim that opens a connection for each request), or a fault may
    have ended it."""
    last: dict[tuple[str, int], tuple[str, bool, float]] = {}
    closed: dict[str, int] = {}
    spoke_unasked: set[tuple[str, int]] = set()
    judged = 0
    for operation in record.operations:
        key = (operation.node, operation.incarnation)
        if operation.unsolicited:
            spoke_unasked.add(key)
        if (
            not record.nodes[operation.node].get("lasting")
            or not operation.connection
            or key in spoke_unasked
        ):
            continue
        before, well, until_s = last.get(key, ("", False, 0.0))
        judged += bool(before)
        broken = record.faulty(operation.node, until_s, operation.invoked_s)
        if before and well and before != operation.connection and not broken:
            closed[operation.node] = closed.get(operation.node, 0) + 1
        well = operation.outcome.kind is not Kind.UNKNOWN
        last[key] = (operation.connection, well, operation.completed_s)
    return judged, [
        Finding(f"{node} closed an idle connection {count} times", node=node)
        for node, count in closed.items()
    ]
