"""What the leader acknowledged is still there after it was stopped or killed and started again."""

from __future__ import annotations

from kvsim.checks.conduct.acknowledged import read_backs
from kvsim.checks.verdict import Finding
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every get at a leader of an acknowledged write of an earlier life (or of an earlier leader)."""
    reads = [one for one in read_backs(record) if one.restarted_between]
    return len(reads), [Finding(one.say(), one.read.step, one.read.node) for one in reads if not one.kept]
