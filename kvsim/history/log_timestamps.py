"""When each part of a node's log was written, as far as kvsim observed it.

A log has no clock that kvsim trusts, so time stamps in it are not read. The journal holds
observations: how long a log was at which time. A line was written between two of them.
"""

from __future__ import annotations

from bisect import bisect_left

from msgspec import Struct

from kvsim.history.run_record import RunRecord


class LogTimestamps(Struct, frozen=True):
    """Bounds on when each byte of one log was written.

    `observations` are (length in bytes, seconds since the run began) in rising order: by this time
    the log had at least this length. There is at least one.
    """

    observations: tuple[tuple[int, float], ...]

    def written_by_s(self, end: int) -> float:
        """The first observation that contains the byte before offset `end`."""
        return self.observations[self._index(end)][1]

    def written_after_s(self, end: int) -> float | None:
        """The last observation of a log shorter than `end`. None: the first one contained it."""
        index = self._index(end)
        return self.observations[index - 1][1] if index else None

    def _index(self, end: int) -> int:
        return min(bisect_left(self.observations, (end, -1.0)), len(self.observations) - 1)


def log_timestamps(record: RunRecord, node: str, incarnation: int, size: int) -> LogTimestamps:
    """The time stamps of the log of one incarnation, whose final length is `size` bytes."""
    observations = []
    last_s = 0.0
    for event in record.events:
        if event.get("node") != node or event.get("incarnation") != incarnation:
            continue
        last_s = max(last_s, event.at_s)
        if event.kind == "log":
            observations.append((event["size"], event.at_s))
        elif event.kind == "ready" and "log" in event["probes"]:
            line = event["probes"]["log"]
            observations.append((line["offset"] + len(line["text"].encode()) + 1, event.at_s))
    observations.append((size, last_s))
    return LogTimestamps(_earliest(sorted(observations)))


def _earliest(observations: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Each length with the earliest time at which the log had that length or more."""
    earliest_s, found = observations[-1][1], []
    for length, at_s in reversed(observations):
        earliest_s = min(earliest_s, at_s)
        found.append((length, earliest_s))
    return tuple(found[::-1])
