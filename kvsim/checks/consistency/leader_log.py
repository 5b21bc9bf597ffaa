"""The leader's order of writes as an index: at which positions did a key hold a value? Pure.

Position 0 is the store before the first write, position p the store after the first p writes of the
log. A value may be written more than once, and "absent" is a value like any other: a key holds a
value during periods of positions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from kvsim.history.history import History
from kvsim.history.operations import ABSENT

_ABOVE_ALL_VALUES = 1 << 62


class LeaderLog:
    """An index of the leader's log, in the key and value numbers of a history.

    `log` are (key, value) pairs in the order of the log. `positions` maps (key, value) to the
    positions that write it, `of_key` a key to the (position, value) pairs of its writes.
    """

    def __init__(self, log: list[tuple[int, int]], initial: dict[int, int] | None = None) -> None:
        self.length = len(log)
        self.initial = initial or {}
        self.positions: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.of_key: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for position, (key, value) in enumerate(log, 1):
            self.positions[key, value].append(position)
            self.of_key[key].append((position, value))
        self._begins: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._ends: dict[tuple[int, int], list[int]] = defaultdict(list)
        for key, writes in self.of_key.items():
            self._add_periods(key, writes)

    def _add_periods(self, key: int, writes: list[tuple[int, int]]) -> None:
        begin, value = 0, self.initial.get(key, ABSENT)
        for position, written in [*writes, (self.length + 1, ABSENT)]:
            self._begins[key, value].append(begin)
            self._ends[key, value].append(position)
            begin, value = position, written

    def first_position(self, key: int, value: int, floor: int = 0) -> int | None:
        """The smallest position >= `floor` at which `key` holds `value`, or None. O(log n)."""
        if key not in self.of_key:
            return floor if value == self.initial.get(key, ABSENT) else None
        ends = self._ends.get((key, value))
        at = bisect_right(ends, floor) if ends else 0
        if not ends or at == len(ends):
            return None
        return max(floor, self._begins[key, value][at])

    def write_position(self, key: int, value: int) -> int | None:
        """The position of this write; None when the log does not have it exactly once."""
        found = self.positions.get((key, value), [])
        return found[0] if len(found) == 1 else None

    def next_write(self, key: int, position: int) -> tuple[int, int] | None:
        """The first write of `key` after `position`, as (position, value)."""
        writes = self.of_key.get(key, [])
        at = bisect_right(writes, (position, _ABOVE_ALL_VALUES))
        return writes[at] if at < len(writes) else None


def leader_log_of(history: History) -> LeaderLog | None:
    """The log that a history recorded, or None.

    Keys and values that no operation has are numbered here.
    """
    if history.leader_log is None:
        return None
    operations = history.operations
    keys, values = operations.keys, operations.values
    log = [(keys.number(key), values.number(value)) for key, value in history.leader_log]
    initial = {keys.number(key): values.number(value) for key, value in history.initial.items()}
    return LeaderLog(log, initial)
