"""The leader shows what it acknowledged: a put's value, and nothing after a delete."""

from __future__ import annotations

from kvsim.checks.conduct.acknowledged import read_backs
from kvsim.checks.verdict import Finding
from kvsim.history.record import Record


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges every get at the leader after a write it acknowledged in the same life; restarts have a check of their own."""
    reads = [one for one in read_backs(record) if not one.restarted_between]
    return len(reads), [Finding(one.say(), one.read.step, one.read.node) for one in reads if not one.kept]
