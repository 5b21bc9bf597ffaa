"""The clusters of one key's values, by the leader's own operations. Pure.

A value's cluster is its write and the reads of it that the leader served, with the earliest return
and the latest call among them (Gibbons and Korach, see `linearizability.build_zones`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

from msgspec import Struct, field

from kvsim.checks.linearizability.decision import BEFORE
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    CHANGES_KEY,
    DELETE,
    NEVER,
    OK,
    REFUSED,
    Operations,
)


class LeaderClusters(Struct, eq=False, dict=True):
    """The clusters of one key, by value number. `first` is the earliest return, `last` the latest
    call, `row` the write of each; `deletes` are the rows of deletes.

    Complete when made by `clusters_of`; what is derived from it is computed once.
    """

    first: dict[int, int] = field(default_factory=lambda: {ABSENT: BEFORE})
    last: dict[int, int] = field(default_factory=lambda: {ABSENT: BEFORE})
    row: dict[int, int] = field(default_factory=dict)
    deletes: list[int] = field(default_factory=list)

    @cached_property
    def forward(self) -> list[tuple[int, int, int]]:
        """(first, last, value) of the values that provably were current for a period, by time."""
        zones = [
            (begin, end, value)
            for value, begin in self.first.items()
            if begin < (end := self.last[value])
        ]
        if ABSENT in self.first and not self.first[ABSENT] < self.last[ABSENT]:
            zones.append((BEFORE, self.last[ABSENT], ABSENT))
        return sorted(zones)

    def have_an_order(self) -> bool:
        """Does real time allow an order? Exactly if no two values each had to precede the other."""
        forward = self.forward
        if any(after[0] < before[1] for before, after in pairwise(forward)):
            return False
        begins = [zone[0] for zone in forward]
        for value, first in self.first.items():
            last = self.last[value]
            at = bisect_left(begins, last) - 1
            if last <= first and at >= 0 and first < forward[at][1] and forward[at][2] != value:
                return False
        return True

    def overwritten(
        self, operations: Operations, values: Iterable[int]
    ) -> dict[int, tuple[int, int]]:
        """Value → when a write that certainly came after it was over at the earliest, and its row.

        NEVER and -1 when no write certainly came after it.
        """
        ends = [
            (operations.call_ns[row], self.first[value], row) for value, row in self.row.items()
        ]
        for row in self.deletes:
            until = operations.return_ns[row] if operations.outcome[row] == OK else NEVER
            ends.append((operations.call_ns[row], until, row))
        ends.sort()
        calls = [call for call, _, _ in ends]
        least: list[tuple[int, int]] = [(NEVER, -1)]
        for _, until, row in reversed(ends):
            least.append(min(least[-1], (until, row)))
        least.reverse()
        return {value: least[bisect_right(calls, self.first[value])] for value in values}


def clusters_of(
    operations: Operations, leader_reads: Iterable[int], rows: Sequence[int] | None = None
) -> LeaderClusters | None:
    """The clusters of one key: its writes among `rows` (None: all), and the reads `leader_reads`.

    None for a key with appends, or with a value that was written twice. On a key with deletes
    "absent" comes more than once and is left out: what the values prove of each other still holds.
    """
    clusters = LeaderClusters()
    first, last, row_of = clusters.first, clusters.last, clusters.row
    kinds, outcomes, values = operations.kind, operations.outcome, operations.value
    for row in range(len(operations)) if rows is None else rows:
        kind = kinds[row]
        if kind not in CHANGES_KEY or outcomes[row] == REFUSED:
            continue
        value = values[row]
        if kind == DELETE:
            clusters.deletes.append(row)
        elif kind == APPEND or value in first:
            return None
        else:
            first[value] = operations.return_ns[row] if outcomes[row] == OK else NEVER
            last[value] = operations.call_ns[row]
            row_of[value] = row
    if clusters.deletes:
        del first[ABSENT], last[ABSENT]
    for row in leader_reads:
        value = values[row]
        if value not in first:
            if value == ABSENT:
                continue
            return None
        first[value] = min(first[value], operations.return_ns[row])
        last[value] = max(last[value], operations.call_ns[row])
    return clusters
