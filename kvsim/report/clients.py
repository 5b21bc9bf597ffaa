"""The clients of a load as lanes to be drawn: who shares one, and which operations are shown of a load too long to show whole. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence

from kvsim.history.operations import NEVER, UNKNOWN


def thinned(outcomes: array, limit: int, proving: Collection[int] = ()) -> tuple[int, Sequence[int]]:
    """One in how many operations is shown, and the rows that are: some `limit` of them, spread evenly, and those of `proving`.

    All without an answer are shown besides, unless they are more than `limit` themselves.
    """
    unknown = outcomes.count(UNKNOWN)
    spared = UNKNOWN if unknown <= limit else -1
    rows = range(len(outcomes))
    others = [row for row in rows if outcomes[row] != spared]
    every = -(-len(others) // limit) or 1
    if every == 1:
        return 1, rows
    shown = {
        *others[::every],
        *(row for row in rows if outcomes[row] == spared),
        *(row for row in proving if row in rows),
    }
    return every, sorted(shown)


def lanes_of(clients: Iterable[int], calls: Iterable[int], returns: Iterable[int]) -> dict[int, int]:
    """Client → lane, from 0. A client that is over hands its lane to the next one that begins after it, so there are no more
    lanes than clients were ever at work at once.
    """
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    for client, call, back in zip(clients, calls, returns, strict=True):
        begin[client] = min(call, begin.get(client, call))
        end[client] = max(call if back == NEVER else back, end.get(client, call))
    free_at: list[int] = []
    lanes: dict[int, int] = {}
    for client in sorted(begin, key=begin.__getitem__):
        lanes[client] = next((n for n, at in enumerate(free_at) if at <= begin[client]), len(free_at))
        free_at[lanes[client] : lanes[client] + 1] = [end[client]]
    return lanes
