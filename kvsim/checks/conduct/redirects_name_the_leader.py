"""A refusal that names a leader names the true one."""

from __future__ import annotations

from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.outcome import Kind
from kvsim.history.record import Operation, Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every refusal that names somebody. The true leader is the one node that says so at that time."""
    naming = [o for o in record.operations if o.outcome.kind is Kind.REFUSED and o.outcome.leader]
    return len(naming), [finding for operation in naming if (finding := _judge(record, operation))]


def _judge(record: Record, operation: Operation) -> Finding | None:
    named = record.node_named(operation.outcome.leader)
    true = record.leader_at(operation.invoked_s)
    if true is None:
        return Finding(
            f"{operation.node} names {named}, but no single leader is known",
            operation.step,
            operation.node,
            Verdict.UNKNOWN,
        )
    if named == true:
        return None
    return Finding(
        f"{operation.node} says that the leader is {named}; it is {true}", operation.step, operation.node
    )
