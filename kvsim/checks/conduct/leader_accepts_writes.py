"""The leader accepts writes."""

from __future__ import annotations

from kvsim.checks.expectations import describe
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.outcome import Kind, Reason
from kvsim.history.record import Operation, Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every write of the scenario to a node that was up and said it is the leader, where no fault on it explains its answer."""
    writes = [
        w for w in record.writes if record.role_at(w.node, w.invoked_s) == "leader" and _judged(record, w)
    ]
    findings = [
        Finding(
            f"{w.node} (leader) did not accept `{w.verb} {w.key}`: {describe(w.outcome)}",
            w.step,
            w.node,
            _verdict(w),
        )
        for w in writes
        if w.outcome.kind is not Kind.OK and not _explained(record, w)
    ]
    return len(writes), findings


def _judged(record: Record, write: Operation) -> bool:
    """A store that replicates may say that it cannot know: what it lacks is nodes, not will. A mismatch is no acceptance either."""
    if write.missed:
        return False
    honest = write.outcome.reason is Reason.UNCERTAIN and "replicates" in record.capabilities(write.node)
    return not honest and write.outcome.reason is not Reason.UNREACHABLE


def _explained(record: Record, write: Operation) -> bool:
    """Any fault explains silence; a broken disk explains that a leader refuses what it cannot store."""
    outcome = write.outcome
    if outcome.kind is Kind.UNKNOWN:
        return record.touched(write)
    return outcome.reason is not Reason.READ_ONLY and any(
        fault.kind == "disk"
        and write.node in fault.nodes
        and fault.lasted(write.invoked_s, write.completed_s)
        for fault in record.faults
    )


def _verdict(write: Operation) -> Verdict:
    return Verdict.UNKNOWN if write.outcome.kind is Kind.UNKNOWN else Verdict.FAIL
