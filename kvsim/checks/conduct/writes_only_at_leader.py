"""Only the leader accepts writes; a follower's acceptance is told apart: forwarded, or the replicas diverged."""

from __future__ import annotations

from kvsim.checks.fate import ACCEPTED, Fate, fate_of
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.outcome import Kind, Reason
from kvsim.history.record import Operation, Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every write of the scenario to a follower. A program with the capability `forwards` may
    forward, not diverge; what it acknowledged and nobody can tell apart is no finding there."""
    writes = [w for w in record.writes if record.role_at(w.node, w.invoked_s) == "follower" and _reached(w)]
    return len(writes), [finding for write in writes if (finding := _judge(record, write))]


def _judge(record: Record, write: Operation) -> Finding | None:
    if write.outcome.kind is Kind.REFUSED:
        return None
    fate = fate_of(record, write)
    if fate in {Fate.FORWARDED, Fate.MISMATCHED, Fate.UNCLEAR} and "forwards" in record.capabilities(
        write.node
    ):
        return None
    verdict = Verdict.FAIL if fate in ACCEPTED or write.outcome.kind is Kind.OK else Verdict.UNKNOWN
    return Finding(
        f"`{write.verb} {write.key}` on {write.node} (follower): {fate}", write.step, write.node, verdict
    )


def _reached(write: Operation) -> bool:
    return write.outcome.reason is not Reason.UNREACHABLE
