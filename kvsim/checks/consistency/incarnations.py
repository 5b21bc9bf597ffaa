"""A node's incarnations: what it shows may begin again after a fault ended its process. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from kvsim.history.history import History
from kvsim.history.operations import NOWHERE


class Incarnations:
    """When the process of each node (by number) may have ended or started: by its faults."""

    def __init__(self, history: History) -> None:
        self.begins: dict[int, list[int]] = defaultdict(list)
        for fault in history.faults:
            for name in fault.nodes if fault.traits.ends_nodes != "no" else ():
                number = history.operations.nodes.numbers.get(name, NOWHERE)
                self.begins[number] += [fault.began_ns, fault.ended_ns]
        for times in self.begins.values():
            times.sort()

    def of(self, node: int, begin_ns: int, end_ns: int) -> int | None:
        """The incarnation of `node` that a period lies in, from 0; None when it lies in several."""
        times = self.begins.get(node)
        if not times:
            return 0
        incarnation = bisect_right(times, begin_ns)
        return incarnation if bisect_right(times, end_ns) == incarnation else None
