"""Every node that is up serves reads: a value or not found, never a refusal."""

from __future__ import annotations

from kvsim.checks.expectations import describe
from kvsim.checks.verdict import Finding
from kvsim.history.outcome import Kind, Reason
from kvsim.history.record import Operation, Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every get, read-backs too, that reached a node. A program with the capability `leader_reads_only` is left out."""
    reads = [
        o
        for o in record.operations
        if o.verb == "get"
        and o.outcome.reason is not Reason.UNREACHABLE
        and "leader_reads_only" not in record.capabilities(o.node)
    ]
    return len(reads), [
        Finding(f"{o.node} did not serve `get {o.key}`: {describe(o.outcome)}", o.step, o.node)
        for o in reads
        if o.outcome.kind is Kind.REFUSED and not _rightly_refused(record, o)
    ]


def _rightly_refused(record: Record, read: Operation) -> bool:
    """A store that replicates may say "not ready" rather than show what may be old, or lost later."""
    return read.outcome.reason is Reason.NOT_READY and "replicates" in record.capabilities(read.node)
