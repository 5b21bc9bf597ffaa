"""Is there an order of one key's values that real time and observations both allow? A graph; a circle in it
is the answer "no". Pure; knows values and moments, nothing of operations' kinds.

Real time puts value u before value v when u's cluster returned before v's last call. These O(n²) pairs are
written sparsely: a chain of moments, into which each value leads when it returned and out of which when it
was called; a value that provably was current for a period is a link of the chain itself. An observation is
a chain of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kvsim.checks.consistency.clusters import Writes
from kvsim.history.operations import ABSENT, NEVER


class Point(NamedTuple):
    """One point of a chain of observations: `value` was reached there (`raises`), or must lie behind all
    reached before.
    """

    raises: bool
    value: int
    index: int  # the operation


Chain = Sequence[Point]


@dataclass(frozen=True)
class Circle:
    """Values that would each have to come before the next, and pairs of operations that say so (not for
    real time).
    """

    values: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]


def circle(writes: Writes, chains: Sequence[Chain]) -> Circle | None:
    """None when some order of the values has all real-time precedences and all that the chains say.

    `writes` alone must have an order (`Writes.have_an_order`). Only the values that the chains speak of are
    in the graph: what time says of two of them does not depend on the others, once a moment inside a period
    counts as that period's beginning.
    """
    values = {point.value for chain in chains for point in chain if point.value in writes.first}
    if len(values) < 2:
        return None
    telling = [_telling(chain, values) for chain in chains]
    quick, whole = _Graph(values), _Graph(values)
    _add_time(quick, writes)
    if all(_add_merged(quick, points) for points in telling) and not quick.not_sortable():
        return None
    _add_time(whole, writes)
    for points in telling:
        _add_chain(whole, points)
    return whole.circle()


CALLED, RETURNED, CURRENT, CALLED_INSIDE = range(4)  # the order within one moment


def _add_time(graph: _Graph, writes: Writes) -> None:
    """The chain of moments, with each value tied to the moments of its last call and its first return."""
    forward = writes.forward
    begins = [zone[0] for zone in forward]
    points = []
    for value in graph.values:
        first, last = writes.first[value], writes.last[value]
        if first < last or value == ABSENT:
            points.append((first, CURRENT, value))
            continue
        at = bisect_left(begins, last) - 1
        inside = at >= 0 and last < forward[at][1]
        points.append((begins[at], CALLED_INSIDE, value) if inside else (last, CALLED, value))
        if first < NEVER:
            at = bisect_left(begins, first + 1) - 1
            inside = at >= 0 and first < forward[at][1]
            points.append((begins[at] if inside else first, RETURNED, value))
    points.sort()
    before = -1
    for _, what, value in points:
        node = graph.node_of[value]
        here = node if what == CURRENT else graph.moment(-1)
        if before >= 0:
            graph.edge(before, here)
        if what == RETURNED:
            graph.edge(node, here)
        elif what != CURRENT:
            graph.edge(here, node)
        before = here


def _telling(chain: Chain, known: Collection[int]) -> Chain:
    """The points of a chain that add something: not of a value that was reached before, nor of one that must
    lie behind the same as before.
    """
    reached: dict[int, int] = {}  # value → how many values had been reached with it
    bound: dict[int, int] = {}  # value → how many had been reached when it was bound last
    telling: list[Point] = []
    for point in chain:
        value = point.value
        if value not in known:
            continue
        if point.raises:
            if value in reached:
                continue
            reached[value] = len(reached) + 1
        else:
            if _says_nothing(value, reached, bound):
                continue
            bound[value] = len(reached)
        telling.append(point)
    return telling


def _add_chain(graph: _Graph, points: Chain) -> None:
    """One moment a point: what is reached leads into it, and out of it leads what lies behind."""
    before = -1
    for point in points:
        node, here = graph.node_of[point.value], graph.moment(point.index)
        if before >= 0:
            graph.edge(before, here)
        before = here
        if point.raises:
            graph.edge(node, here)
        else:
            graph.edge(here, node)


def _add_merged(graph: _Graph, points: Chain) -> bool:
    """As `_add_chain`, but moments from where a value was reached to where it is bound again are that value:
    they lie behind it and in front of it. Without them no circle is left that goes through one value only.

    False when two values would be the same.
    """
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    for place, (raises, value, _) in enumerate(points):
        if raises:
            begin[value] = place
        elif value in begin:
            end[value] = place
    before, current = -1, -1  # the last link; the value that the links are now
    for place, (raises, value, _) in enumerate(points):
        node = graph.node_of[value]
        if current >= 0 and current != value and value in end and begin[value] <= place <= end[value]:
            return False
        if value in end and place == begin[value]:
            current = value
            here = node
        else:
            here = graph.moment(-1) if current < 0 else graph.node_of[current]
        if 0 <= before != here:
            graph.edge(before, here)
        before = here
        if node != here:
            if raises:
                graph.edge(node, here)
            else:
                graph.edge(here, node)
        if current == value and place == end[value]:
            current = -1
    return True


def _says_nothing(value: int, reached: dict[int, int], bound: dict[int, int]) -> bool:
    """Has nothing but `value` itself been reached since it was bound last?"""
    since = bound.get(value)
    if since is None:
        return not reached
    return len(reached) - (reached.get(value, 0) > since) == since


class _Graph:
    """Values and moments as numbers, with an edge from what comes before to what comes after."""

    def __init__(self, values: Iterable[int]) -> None:
        self.values = list(values)
        self.node_of = {value: node for node, value in enumerate(self.values)}
        self.after: list[list[int]] = [[] for _ in self.values]
        self.seen_by: list[int] = [-1] * len(self.values)  # node → the observation that it is a moment of

    def moment(self, index: int) -> int:
        self.after.append([])
        self.seen_by.append(index)
        return len(self.after) - 1

    def edge(self, before: int, after: int) -> None:
        self.after[before].append(after)

    def circle(self) -> Circle | None:
        """A shortest circle through two values that reach each other; None when no two do."""
        left = self.not_sortable()
        for component in self._components(left) if left else ():
            values = [node for node in component if node < len(self.values)]
            if len(values) > 1:
                there = self._path(values[0], values[1], component)
                back = self._path(values[1], values[0], component)
                return self._told(there[:-1] + back[:-1])
        return None

    def not_sortable(self) -> set[int]:
        """What a topological sort (Kahn) leaves over: circles, and what is behind them."""
        waiting = [0] * len(self.after)
        for following in self.after:
            for node in following:
                waiting[node] += 1
        ready = [node for node, count in enumerate(waiting) if count == 0]
        sorted_nodes = 0
        while ready:
            sorted_nodes += 1
            for node in self.after[ready.pop()]:
                waiting[node] -= 1
                if waiting[node] == 0:
                    ready.append(node)
        if sorted_nodes == len(self.after):
            return set()
        return {node for node, count in enumerate(waiting) if count}

    def _components(self, left: set[int]) -> list[set[int]]:
        """Strongly connected components of more than one node (Kosaraju) among those `left`."""
        after = {node: [one for one in self.after[node] if one in left] for node in left}
        before: dict[int, list[int]] = {node: [] for node in left}
        for node, following in after.items():
            for one in following:
                before[one].append(node)
        order: list[int] = []
        visited: set[int] = set()
        for root in left:
            if root not in visited:
                _visit(root, after, visited, order)
        components: list[set[int]] = []
        assigned: set[int] = set()
        for root in reversed(order):
            if root not in assigned:
                component: list[int] = []
                _visit(root, before, assigned, component)
                components += [set(component)] if len(component) > 1 else []
        return components

    def _path(self, start: int, goal: int, inside: set[int]) -> list[int]:
        """A shortest path, breadth first."""
        came_from = {start: start}
        queue = deque([start])
        while goal not in came_from:
            node = queue.popleft()
            for following in self.after[node]:
                if following in inside and following not in came_from:
                    came_from[following] = node
                    queue.append(following)
        path = [goal]
        while path[-1] != start:
            path.append(came_from[path[-1]])
        return path[::-1]

    def _told(self, path: list[int]) -> Circle:
        """The values on a closed path that begins with one, and the operations where it enters and leaves a
        chain.
        """
        values: list[int] = []
        pairs: list[tuple[int, int]] = []
        run: list[int] = []
        for node in [*path, path[0]]:
            if node >= len(self.values):
                run += [self.seen_by[node]] if self.seen_by[node] >= 0 else []
                continue
            values.append(self.values[node])
            pairs += [(run[0], run[-1])] if run else []
            run = []
        return Circle(tuple(values[:-1]), tuple(pairs))


def _visit(root: int, edges: dict[int, list[int]], visited: set[int], order: list[int]) -> None:
    """Depth first from `root` without recursion; appends nodes to `order` as they are left."""
    visited.add(root)
    stack = [(root, iter(edges[root]))]
    while stack:
        node, following = stack[-1]
        for one in following:
            if one not in visited:
                visited.add(one)
                stack.append((one, iter(edges[one])))
                break
        else:
            stack.pop()
            order.append(node)
