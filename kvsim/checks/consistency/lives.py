"""A node's lives: what it shows may begin anew when it was killed, restarted or had its files damaged. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from kvsim.history.history import ENDS_A_LIFE, History
from kvsim.history.operations import NOWHERE


class Lives:
    """When each node of a history, by number, may have begun anew and has to catch up: at both ends of such a fault."""

    def __init__(self, history: History) -> None:
        self.begins: dict[int, list[int]] = defaultdict(list)
        for fault in history.faults:
            for name in fault.nodes if fault.kind in ENDS_A_LIFE else ():
                number = history.operations.nodes.numbers.get(name, NOWHERE)
                self.begins[number] += [fault.began_ns, fault.ended_ns]
        for times in self.begins.values():
            times.sort()

    def of(self, node: int, begin_ns: int, end_ns: int) -> int | None:
        """Which life of `node` a period lies in, counted from 0; None when it spans two."""
        times = self.begins.get(node)
        if not times:
            return 0
        life = bisect_right(times, begin_ns)
        return life if bisect_right(times, end_ns) == life else None
