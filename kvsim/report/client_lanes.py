"""The clients of a load as lanes, and the operations to show of a long load."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence

from kvsim.history.operations import NEVER, UNKNOWN


def thin(
    outcomes: array[int], limit: int, always: Collection[int] = ()
) -> tuple[int, Sequence[int]]:
    """Choose about `limit` rows, evenly spread: one in how many is chosen, and the chosen rows.

    Rows of `always` are chosen besides, and all without an answer unless they are more than
    `limit` themselves.
    """
    unknown = outcomes.count(UNKNOWN)
    kept_outcome = UNKNOWN if unknown <= limit else -1
    rows = range(len(outcomes))
    others = [row for row in rows if outcomes[row] != kept_outcome]
    every = -(-len(others) // limit) or 1
    if every == 1:
        return 1, rows
    chosen = {
        *others[::every],
        *(row for row in rows if outcomes[row] == kept_outcome),
        *(row for row in always if row in rows),
    }
    return every, sorted(chosen)


def assign_lanes(
    clients: Iterable[int], calls: Iterable[int], returns: Iterable[int]
) -> dict[int, int]:
    """Client → lane, from 0.

    Clients that never overlap share a lane, so there are as many lanes as clients were at work at
    the same time.
    """
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    for client, call, back in zip(clients, calls, returns, strict=True):
        begin[client] = min(call, begin.get(client, call))
        end[client] = max(call if back == NEVER else back, end.get(client, call))
    free_at: list[int] = []
    lanes: dict[int, int] = {}
    for client in sorted(begin, key=begin.__getitem__):
        free = (lane for lane, at in enumerate(free_at) if at <= begin[client])
        lanes[client] = next(free, len(free_at))
        free_at[lanes[client] : lanes[client] + 1] = [end[client]]
    return lanes
