"""By when each part of a node's log had been seen. A log has no clock of its own, and the time stamps in it are
not believed: the journal says how long a log was at which time, and a line was written between two such looks.
Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvsim.history.record import Record


@dataclass(frozen=True)
class LogTimes:
    """`looks` are (length in bytes, seconds since the run began) in rising order: the log had at least this
    length by this time. There is at least one.
    """

    looks: tuple[tuple[int, float], ...]

    def seen_s(self, end: int) -> float:
        """By when the byte before offset `end` had been seen."""
        return self.looks[self._place(end)][1]

    def not_yet_s(self, end: int) -> float | None:
        """When the log last was shorter than `end`; None when nobody looked before it was that long."""
        place = self._place(end)
        return self.looks[place - 1][1] if place else None

    def _place(self, end: int) -> int:
        return min(bisect_left(self.looks, (end, -1.0)), len(self.looks) - 1)


def log_times(record: Record, node: str, incarnation: int, size: int) -> LogTimes:
    """The times of the log of one start, which has `size` bytes in the end."""
    looks = []
    last_s = 0.0
    for event in record.events:
        if event.get("node") != node or event.get("incarnation") != incarnation:
            continue
        last_s = max(last_s, event.at_s)
        if event.kind == "log":
            looks.append((event["size"], event.at_s))
        elif event.kind == "ready" and "log" in event["gates"]:
            line = event["gates"]["log"]
            looks.append((line["offset"] + len(line["text"].encode()) + 1, event.at_s))
    looks.append((size, last_s))
    return LogTimes(_earliest(sorted(looks)))


def _earliest(looks: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """What a longer look saw early, a shorter one had seen too."""
    soonest_s, found = looks[-1][1], []
    for length, at_s in reversed(looks):
        soonest_s = min(soonest_s, at_s)
        found.append((length, soonest_s))
    return tuple(found[::-1])
