"""Logs of several nodes as one stream. Honest about time: a log has no clock of its own, so lines are
ordered by when they were seen to arrive, and stay grouped by node where nobody was looking.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kvsim.logs.cursor import Cursor
from kvsim.logs.tail import LogFile
from kvsim.logs.text import printable

PERIOD_S = 0.05

NodeLine = tuple[str, str]  # node, text


@dataclass(frozen=True, order=True)
class Arrival:
    """At `at_s` (monotonic) the log of `node` had grown to `size` bytes."""

    at_s: float
    node: str
    size: int


def dump(files: Mapping[str, Path], arrivals: Iterable[Arrival] = ()) -> Iterator[NodeLine]:
    """All lines of all logs.

    With `arrivals`, in the order in which they were seen to arrive; without, node by node.
    """
    seen = sorted(arrivals)
    streams = [
        _timed(node, path, [one for one in seen if one.node == node], place)
        for place, (node, path) in enumerate(files.items())
    ]
    return ((node, text) for _, _, _, node, text in heapq.merge(*streams))


def follow(
    files: Callable[[], Mapping[str, Path]], wait: Callable[[float], bool], *, from_start: bool = False
) -> Iterator[NodeLine]:
    """Lines as they arrive, for ever.

    `files` is asked again in each round, so that the log of a restarted node joins in; what is new then is
    read from its start. `wait(seconds)` sleeps and returns True to end (`threading.Event().wait` does just
    that); a last round is still read after it said so.
    """
    cursors: dict[Path, Cursor] = {}
    ending, first = False, not from_start
    while True:
        for node, path in files().items():
            if path not in cursors:
                cursors[path] = Cursor(path, LogFile(path).mark() if first else 0)
            for _, raw in cursors[path].read():
                yield node, printable(raw)
        first = False
        if ending:
            return
        ending = wait(PERIOD_S)


def _timed(
    node: str, path: Path, arrivals: list[Arrival], place: int
) -> Iterator[tuple[float, int, int, str, str]]:
    """Sortable lines: when the line's last byte was first seen, which node, which line.

    Unseen lines come last.
    """
    waiting = iter(arrivals)
    now = next(waiting, None)
    for line in LogFile(path).lines():
        while now is not None and line.offset >= now.size:
            now = next(waiting, None)
        yield (now.at_s if now else float("inf"), place, line.offset, node, line.text)
