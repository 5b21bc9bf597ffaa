"""Compare-and-sets that failed without naming the value they met.

Each needs an instant at which the key did not have the value it expected.

Two sound answers in near-linear time: all of them fit into an order that was found (yes), or one
lies where its value provably was current throughout (no). Else the search has to decide.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from heapq import heappop, heappush

from kvsim.checks.linearizability.build_zones import Clusters
from kvsim.checks.linearizability.decision import (
    BEFORE,
    Decision,
    ViolationReason,
    not_linearizable,
)
from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import ABSENT, CAS, DELETE, NEVER, PUT


def insert_failed_cas(
    register: Register, failed_cas: Sequence[int], order: Sequence[int]
) -> list[int] | None:
    """`order` with the positions `failed_cas` in it; None when one of them finds no slot.

    Greedy, in the order of their calls: each takes the first slot that fits.
    """
    latest, earliest, state, run_end = _profile(register, order)
    placed: list[list[int]] = [[] for _ in range(len(order) + 1)]
    # (return, slot) of those already placed
    returned: list[tuple[int, int]] = []
    floor = 0
    for at in sorted(failed_cas, key=register.call.__getitem__):
        while returned and returned[0][0] < register.call[at]:
            floor = max(floor, heappop(returned)[1])
        slot = max(floor, bisect_left(earliest, register.call[at]))
        if state[slot] == register.expected[at]:
            slot = run_end[slot]
        if slot >= bisect_right(latest, register.until[at]):
            return None
        placed[slot].append(at)
        heappush(returned, (register.until[at], slot))
    merged: list[int] = []
    for slot, here in enumerate(placed):
        merged += here
        merged += order[slot : slot + 1]
    return merged


def _profile(
    register: Register, order: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """For every slot of `order`, as four columns: the latest call before it, the earliest return
    behind it, the state there, and the slot at which that state ends.
    """
    count = len(order)
    latest, state = [BEFORE], [register.initial]
    for at in order:
        latest.append(max(latest[-1], register.call[at]))
        kind, value = register.kind[at], register.value[at]
        state.append({PUT: value, CAS: value, DELETE: ABSENT}.get(kind, state[-1]))
    earliest, run_end = [NEVER] * (count + 1), [count + 1] * (count + 1)
    for slot in range(count - 1, -1, -1):
        earliest[slot] = min(earliest[slot + 1], register.until[order[slot]])
        run_end[slot] = run_end[slot + 1] if state[slot] == state[slot + 1] else slot + 1
    return latest, earliest, state, run_end


def find_impossible_failure(clusters: Clusters) -> Decision | None:
    """A violation when a failed compare-and-set lies strictly inside the period in which the value
    that it expected had to be current; else None.
    """
    register = clusters.register
    for at in clusters.failed_cas:
        begin, end = _current(clusters, register.expected[at])
        if begin < register.call[at] and register.until[at] < end:
            return not_linearizable(
                ViolationReason.FAILED_CAS_INSIDE, at=(at,), values=(register.expected[at],)
            )
    return None


def _current(clusters: Clusters, value: int) -> tuple[int, int]:
    """From when to when `value` provably was current; an empty period when nothing is provable."""
    register = clusters.register
    writer = clusters.writer.get(value)
    if value == ABSENT or (writer is None and value != register.initial):
        return NEVER, BEFORE
    begin = BEFORE if writer is None else register.until[writer]
    begin = min(begin, clusters.read_first.get(value, NEVER))
    end = clusters.read_last.get(value, BEFORE)
    follower = clusters.follower.get(value)
    if follower is not None:
        end = max(end, register.call[follower])
    return begin, end
