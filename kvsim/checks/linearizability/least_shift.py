"""How far into the past must reads be shifted for one key to be linearizable? For put and get.

Golab, Li and Shah's Delta-atomicity, "Analyzing consistency properties for fun and profit", 2011.
The clusters of the key are made once (see `build_zones`); a shift only moves the latest call of the
reads in each, so that each shift that is tried takes one sweep over the clusters.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvsim.checks.linearizability import put_get
from kvsim.checks.linearizability.decision import BEFORE, Decision
from kvsim.history.operations import ABSENT, GET, NEVER, OK, Operations

# A cluster: its earliest return, the call of its write, and the latest call of its reads.
Cluster = tuple[int, int, int]


def least_shift_ns(operations: Operations, initial: int = ABSENT) -> int | Decision | None:
    """The least D >= 0 such that one key is linearizable if its reads may have happened D earlier.

    None when no D explains it. An undecided decision for keys that `put_get` does not decide.
    """
    written = put_get.writes(operations, initial)
    if isinstance(written, Decision):
        return written
    called, first = written
    last_read: dict[int, int] = {}
    columns = zip(
        operations.call_ns,
        operations.return_ns,
        operations.kind,
        operations.value,
        operations.outcome,
        strict=True,
    )
    for call, until, kind, value, outcome in columns:
        if kind != GET or outcome != OK:
            continue
        if value not in called or until < called[value]:
            return None
        first[value] = min(first[value], until)
        last_read[value] = max(last_read.get(value, BEFORE), call)
    clusters = sorted(
        (begin, called[value], last_read.get(value, BEFORE))
        for value, begin in first.items()
        if begin < NEVER
    )
    return _least(clusters, min(operations.call_ns, default=0))


def _least(clusters: Sequence[Cluster], start: int) -> int | None:
    """`start` is the earliest call: a read of the initial value that is shifted there is in order
    with everything.
    """
    if _fits(clusters, 0):
        return 0
    low, high = 0, max(read - max(called, start - 1) for _, called, read in clusters)
    if high <= 0 or not _fits(clusters, high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _fits(clusters, middle) else (middle, high)
    return high


def _fits(clusters: Sequence[Cluster], shift: int) -> bool:
    """Are the clusters without a conflict when the reads were called `shift` earlier?

    Forward zones are disjoint as far as the sweep has come, so that a zone can only be in conflict
    with the last one of them.
    """
    begin = end = BEFORE - 1
    for first, called, read in clusters:
        last = read - shift
        if last < called:
            last = called
        if first < last:
            if first < end:
                return False
            begin, end = first, last
        elif begin < last and first < end:
            return False
    return True
