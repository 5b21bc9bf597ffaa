"""Logs of several nodes as one stream of lines.

A log has no clock, so lines are ordered by the time at which the growth of the file was observed.
Where no growth was observed, lines stay grouped by node.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from kvsim.logs.follower import Follower
from kvsim.logs.log_file import LogFile, shown

PERIOD_S = 0.05

# Node and text.
NodeLine = tuple[str, str]
# Nodes and their logs; a node may have several.
NodeLogs = Sequence[tuple[str, Path]]


class Arrival(Struct, frozen=True, order=True):
    """At `at_s` (monotonic) a log had grown to `size` bytes."""

    at_s: float
    path: Path
    size: int


def dump(files: NodeLogs, arrivals: Iterable[Arrival] = ()) -> Iterator[NodeLine]:
    """All lines of all logs, in the order of `arrivals`. Without arrivals: log by log."""
    ordered = sorted(arrivals)
    streams = [
        _timed(node, path, [arrival for arrival in ordered if arrival.path == path], position)
        for position, (node, path) in enumerate(files)
    ]
    return ((node, text) for _, _, _, node, text in heapq.merge(*streams))


def follow(
    files: Callable[[], NodeLogs | None],
    wait: Callable[[float], bool],
    *,
    from_start: bool = False,
) -> Iterator[NodeLine]:
    """Lines as they arrive.

    `files` is called in each round: the log of a restarted node is found then, and read from its
    start; None: there are no more, and what is left of the others is read. `wait(seconds)` sleeps
    and returns True to end, as `threading.Event().wait` does; one more round is read after that.
    """
    followers: dict[Path, tuple[str, Follower]] = {}
    ending, first = False, not from_start
    try:
        while True:
            found = files()
            for node, path in found or ():
                if path not in followers:
                    size = LogFile(path).size() if first else 0
                    followers[path] = (node, Follower(path, keeps_open=True, offset=size))
            for node, follower in followers.values():
                yield from _new_lines(node, follower)
            first = False
            if ending or found is None:
                break
            ending = wait(PERIOD_S)
        for node, follower in followers.values():
            rest = follower.partial()
            if rest is not None and rest.begins:
                yield node, shown(rest).text
    finally:
        for _, follower in followers.values():
            follower.close()


def _new_lines(node: str, follower: Follower) -> Iterator[NodeLine]:
    """Everything that a log holds now. Of a long line, only its beginning is shown."""
    while lines := follower.read():
        yield from ((node, shown(line).text) for line in lines if line.begins)


def _timed(
    node: str, path: Path, arrivals: list[Arrival], position: int
) -> Iterator[tuple[float, int, int, str, str]]:
    """Sortable lines: the arrival of the line's last byte, the node's position, the offset.

    Lines without an arrival come last.
    """
    remaining = iter(arrivals)
    arrival = next(remaining, None)
    for line in LogFile(path).lines():
        while arrival is not None and line.offset >= arrival.size:
            arrival = next(remaining, None)
        at_s = arrival.at_s if arrival else float("inf")
        yield (at_s, position, line.offset, node, line.text)
