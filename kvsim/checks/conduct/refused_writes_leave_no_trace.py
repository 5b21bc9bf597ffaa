"""A refused write, or one whose expected value was not met, leaves no trace: no node shows its value afterwards."""

from __future__ import annotations

from kvsim.checks.fate import LEFT_A_TRACE, Fate, fate_of, read_back
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.outcome import Kind, Reason
from kvsim.history.record import Operation, Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every write that a node refused or answered with a mismatch, by reading the key on every node before and after."""
    refused = [w for w in record.writes if _refused(w) and any(read_back(record, w))]
    return len(refused), [finding for write in refused if (finding := _judge(record, write))]


def _refused(write: Operation) -> bool:
    outcome = write.outcome
    if write.missed or outcome.reason is Reason.UNRECOGNISED:
        return True
    return outcome.kind is Kind.REFUSED and outcome.reason is not Reason.UNREACHABLE


def _judge(record: Record, write: Operation) -> Finding | None:
    fate = fate_of(record, write)
    if fate not in LEFT_A_TRACE | {Fate.UNCLEAR}:
        return None
    verdict = Verdict.UNKNOWN if fate is Fate.UNCLEAR else Verdict.FAIL
    return Finding(f"`{write.verb} {write.key}` on {write.node}: {fate}", write.step, write.node, verdict)
