"""Compare-and-sets that failed without saying which value they met: each needs an instant without the value
it expected.

Two sound answers in near-linear time, and a third that is "not decided": all of them fit into an order that
was found (yes); one lies where its value provably was current throughout (no); neither (left to the
search).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from heapq import heappop, heappush

from kvsim.checks.consistency.linear.chains import Clusters
from kvsim.checks.consistency.linear.register import Register
from kvsim.checks.consistency.linear.ruling import BEFORE, Reason, Ruling, no
from kvsim.history.operations import ABSENT, CAS, DELETE, NEVER, PUT


def fit(register: Register, misses: Sequence[int], order: Sequence[int]) -> list[int] | None:
    """`order` with the operations at `misses` in it, or None when going over them in call order finds no
    place for one.
    """
    latest, earliest, state, run_end = _profile(register, order)
    placed: list[list[int]] = [[] for _ in range(len(order) + 1)]
    returned: list[tuple[int, int]] = []  # (return, place) of misses already placed
    floor = 0
    for at in sorted(misses, key=register.call.__getitem__):
        while returned and returned[0][0] < register.call[at]:
            floor = max(floor, heappop(returned)[1])
        place = max(floor, bisect_left(earliest, register.call[at]))
        if state[place] == register.expected[at]:
            place = run_end[place]
        if place >= bisect_right(latest, register.until[at]):
            return None
        placed[place].append(at)
        heappush(returned, (register.until[at], place))
    woven: list[int] = []
    for place, here in enumerate(placed):
        woven += here
        woven += order[place : place + 1]
    return woven


def _profile(register: Register, order: Sequence[int]) -> tuple[list[int], list[int], list[int], list[int]]:
    """For every place in `order`: the latest call before it, the earliest return behind it, the state,
    where that ends.
    """
    count = len(order)
    latest, state = [BEFORE], [register.initial]
    for at in order:
        latest.append(max(latest[-1], register.call[at]))
        kind, value = register.kind[at], register.value[at]
        state.append({PUT: value, CAS: value, DELETE: ABSENT}.get(kind, state[-1]))
    earliest, run_end = [NEVER] * (count + 1), [count + 1] * (count + 1)
    for place in range(count - 1, -1, -1):
        earliest[place] = min(earliest[place + 1], register.until[order[place]])
        run_end[place] = run_end[place + 1] if state[place] == state[place + 1] else place + 1
    return latest, earliest, state, run_end


def met_what_it_expected(clusters: Clusters) -> Ruling | None:
    """A violation when a miss lies strictly inside the period in which the value it expected had to be
    current.
    """
    register = clusters.register
    for at in clusters.misses:
        begin, end = _current(clusters, register.expected[at])
        if begin < register.call[at] and register.until[at] < end:
            return no(Reason.MISS_INSIDE, at=(at,), values=(register.expected[at],))
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
