"""Is there an order of one key's values that real time and observations both allow?

A graph of what precedes what: a cycle in it is the answer "no". Real time puts value u before value
v when u's cluster returned before v's last call. These O(n²) pairs are written sparsely: a chain of
moments, into which each value leads when it returned and out of which when it was called; a value
that provably was current for a period is a link of the chain itself. A sequence of observations is
one chain. Knows values and times, nothing of the kinds of operations. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from kvsim.checks.consistency.inferred.clusters import LeaderClusters
from kvsim.history.operations import ABSENT, NEVER


class Observation(NamedTuple):
    """An operation at `row` observed `value`.

    With `raises` the value was reached there; without, it must not precede any value reached
    before.
    """

    raises: bool
    value: int
    row: int


# Of one node or client, in order.
Observations = Sequence[Observation]


class Cycle(Struct, frozen=True):
    """Values that would each have to come before the next, and the last before the first.

    `pairs` are the rows of operations that prove it, without those that follow from real time.
    """

    values: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]


def find_cycle(clusters: LeaderClusters, sequences: Sequence[Observations]) -> Cycle | None:
    """None when some order of the values fits real time and all sequences of observations.

    `clusters` alone must have an order (`LeaderClusters.have_an_order`). Only the observed values
    are in the graph: what time proves of two of them does not depend on the others, once a moment
    inside a period counts as that period's beginning.
    """
    values = {
        observation.value
        for observations in sequences
        for observation in observations
        if observation.value in clusters.first
    }
    if len(values) < 2:
        return None
    informative = [_informative(observations, values) for observations in sequences]
    # The smaller graph decides almost every key; the full one finds the cycle.
    merged, full = _Graph(values), _Graph(values)
    _add_time(merged, clusters)
    if all(_add_merged(merged, chain) for chain in informative) and not merged.not_sortable():
        return None
    _add_time(full, clusters)
    for chain in informative:
        _add_chain(full, chain)
    return full.find_cycle()


# In their order within one moment.
CALLED, RETURNED, CURRENT, CALLED_INSIDE = range(4)


def _add_time(graph: _Graph, clusters: LeaderClusters) -> None:
    """The chain of moments, with each value tied to the moments of its last call and its first
    return.
    """
    forward = clusters.forward
    begins = [zone[0] for zone in forward]
    events = []
    for value in graph.values:
        first, last = clusters.first[value], clusters.last[value]
        if first < last or value == ABSENT:
            events.append((first, CURRENT, value))
            continue
        at = bisect_left(begins, last) - 1
        inside = at >= 0 and last < forward[at][1]
        events.append((begins[at], CALLED_INSIDE, value) if inside else (last, CALLED, value))
        if first < NEVER:
            at = bisect_left(begins, first + 1) - 1
            inside = at >= 0 and first < forward[at][1]
            events.append((begins[at] if inside else first, RETURNED, value))
    events.sort()
    before = -1
    for _, event, value in events:
        node = graph.node_of[value]
        moment = node if event == CURRENT else graph.add_moment(-1)
        if before >= 0:
            graph.add_edge(before, moment)
        if event == RETURNED:
            graph.add_edge(node, moment)
        elif event != CURRENT:
            graph.add_edge(moment, node)
        before = moment


def _informative(observations: Observations, known: Collection[int]) -> Observations:
    """The observations that add something.

    Left out are those of a value that was reached before, and those that bind a value to no more
    than it was bound to before.
    """
    # Value → how many values had been reached with it, and when it was bound last.
    reached: dict[int, int] = {}
    bound: dict[int, int] = {}
    informative: list[Observation] = []
    for observation in observations:
        value = observation.value
        if value not in known:
            continue
        if observation.raises:
            if value in reached:
                continue
            reached[value] = len(reached) + 1
        else:
            if _adds_nothing(value, reached, bound):
                continue
            bound[value] = len(reached)
        informative.append(observation)
    return informative


def _add_chain(graph: _Graph, observations: Observations) -> None:
    """One moment an observation: values reached lead into it, it leads into values bound by it."""
    before = -1
    for observation in observations:
        node, moment = graph.node_of[observation.value], graph.add_moment(observation.row)
        if before >= 0:
            graph.add_edge(before, moment)
        before = moment
        if observation.raises:
            graph.add_edge(node, moment)
        else:
            graph.add_edge(moment, node)


def _add_merged(graph: _Graph, observations: Observations) -> bool:
    """As `_add_chain`, but the moments from where a value was reached to where it is bound again
    are merged into that value: they lie behind it and before it.

    So no cycle is left that goes through one value only. False when two values would be merged.
    """
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    for index, (raises, value, _) in enumerate(observations):
        if raises:
            begin[value] = index
        elif value in begin:
            end[value] = index
    # The last link, and the value that the links are merged into now.
    before, current = -1, -1
    for index, (raises, value, _) in enumerate(observations):
        node = graph.node_of[value]
        if (
            current >= 0
            and current != value
            and value in end
            and begin[value] <= index <= end[value]
        ):
            return False
        if value in end and index == begin[value]:
            current = value
            link = node
        else:
            link = graph.add_moment(-1) if current < 0 else graph.node_of[current]
        if 0 <= before != link:
            graph.add_edge(before, link)
        before = link
        if node != link:
            if raises:
                graph.add_edge(node, link)
            else:
                graph.add_edge(link, node)
        if current == value and index == end[value]:
            current = -1
    return True


def _adds_nothing(value: int, reached: dict[int, int], bound: dict[int, int]) -> bool:
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
        # Node → the row of the observation that it is a moment of, -1 for others.
        self.row_of = [-1] * len(self.values)

    def add_moment(self, row: int) -> int:
        self.after.append([])
        self.row_of.append(row)
        return len(self.after) - 1

    def add_edge(self, before: int, after: int) -> None:
        self.after[before].append(after)

    def find_cycle(self) -> Cycle | None:
        """A shortest cycle through two values that reach each other; None when no two do."""
        left = self.not_sortable()
        for component in self._components(left) if left else ():
            values = [node for node in component if node < len(self.values)]
            if len(values) > 1:
                there = self._path(values[0], values[1], component)
                back = self._path(values[1], values[0], component)
                return self._cycle(there[:-1] + back[:-1])
        return None

    def not_sortable(self) -> set[int]:
        """What a topological sort (Kahn 1962) leaves over: cycles, and what is behind them."""
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
        """Strongly connected components of several nodes (Kosaraju-Sharir) among those `left`."""
        after = {node: [other for other in self.after[node] if other in left] for node in left}
        before: dict[int, list[int]] = {node: [] for node in left}
        for node, following in after.items():
            for other in following:
                before[other].append(node)
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

    def _cycle(self, path: list[int]) -> Cycle:
        """The values on a closed path that begins with one.

        The pairs are the rows at which the path enters and leaves a sequence of observations.
        """
        values: list[int] = []
        pairs: list[tuple[int, int]] = []
        run: list[int] = []
        for node in [*path, path[0]]:
            if node >= len(self.values):
                run += [self.row_of[node]] if self.row_of[node] >= 0 else []
                continue
            values.append(self.values[node])
            pairs += [(run[0], run[-1])] if run else []
            run = []
        return Cycle(tuple(values[:-1]), tuple(pairs))


def _visit(root: int, edges: dict[int, list[int]], visited: set[int], order: list[int]) -> None:
    """Depth first from `root` without recursion; appends nodes to `order` as they are left."""
    visited.add(root)
    stack = [(root, iter(edges[root]))]
    while stack:
        node, following = stack[-1]
        for other in following:
            if other not in visited:
                visited.add(other)
                stack.append((other, iter(edges[other])))
                break
        else:
            stack.pop()
            order.append(node)
