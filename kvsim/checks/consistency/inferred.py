"""Without the leader's log: is there, key by key, any order of the writes that the leader's own operations
and the observations of followers or clients both allow? Pure.

The leader's operations bound the order by real time (value u before value v when u's cluster returned
before v's last call). An observation adds "u before v". Both together have an order exactly when the graph
has no circle. The O(n²) real-time pairs are written sparsely: a chain of moments, into which each value
leads when it returned and out of which when it was called; a value that provably was current for a period
is a link of the chain itself. Weaker than with a log: keys are taken one by one, so that two keys' writes
in the wrong order go unseen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.linear.ruling import BEFORE
from kvsim.checks.consistency.picture import picture
from kvsim.checks.consistency.sessions import GUARANTEES
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    CAS,
    CAS_MISSED,
    DELETE,
    DELETE_MISSED,
    GET,
    NEVER,
    NOWHERE,
    OK,
    PUT,
    REFUSED,
    Operations,
)

OUTSIDE = "operations on keys with deletes, appends or values written twice, whose order only a log tells"
NOT_LINEAR = "operations on keys for which the leader's own operations already have no order"


@dataclass(eq=False)
class Writes:
    """The values of one key with the earliest return and the latest call of each one's cluster at the leader."""

    first: dict[int, int] = field(default_factory=lambda: {ABSENT: BEFORE})
    last: dict[int, int] = field(default_factory=lambda: {ABSENT: BEFORE})

    def forward(self) -> list[tuple[int, int, int]]:
        zones = [(self.first[value], self.last[value], value) for value in self.first]
        return sorted(zone for zone in zones if zone[0] < zone[1] or zone[2] == ABSENT)


def writes_of(operations: Operations, leader_reads: Iterable[int]) -> Writes | None:
    """The writes of one key's `operations`, with the reads at `leader_reads`. None when outside what this
    can do.
    """
    writes = Writes()
    columns = zip(operations.kind, operations.outcome, operations.value, strict=True)
    for index, (kind, outcome, value) in enumerate(columns):
        if kind in (DELETE, APPEND) and outcome != REFUSED:
            return None
        if kind in (PUT, CAS) and outcome != REFUSED:
            if value in writes.first:
                return None
            writes.first[value] = operations.return_ns[index] if outcome == OK else NEVER
            writes.last[value] = operations.call_ns[index]
    for index in leader_reads:
        value = operations.value[index]
        if value not in writes.first:
            return None
        writes.first[value] = min(writes.first[value], operations.return_ns[index])
        writes.last[value] = max(writes.last[value], operations.call_ns[index])
    return writes


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


def circle(writes: Writes, chains: Iterable[Chain] = ()) -> Circle | None:
    """None when some order of the values has all real-time precedences and all that the chains say."""
    graph = _Graph(writes.first)
    _add_time(graph, writes)
    for chain in chains:
        _add_chain(graph, chain)
    return graph.circle()


CALLED, RETURNED, CURRENT, CALLED_INSIDE = range(4)  # the order within one moment


def _add_time(graph: _Graph, writes: Writes) -> None:
    """The chain of moments, with each value tied to the moments of its last call and its first return."""
    forward = writes.forward()
    begins = [zone[0] for zone in forward]
    current = {zone[2] for zone in forward}
    points = [(begin, CURRENT, value) for begin, _, value in forward]
    for value, first in writes.first.items():
        if value in current:
            continue
        call = writes.last[value]
        at = bisect_left(begins, call) - 1
        inside = at >= 0 and call < forward[at][1]
        points.append((begins[at], CALLED_INSIDE, value) if inside else (call, CALLED, value))
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


def _add_chain(graph: _Graph, chain: Chain) -> None:
    """One moment a point, without the points that add nothing: a value that was reached before, or that
    must lie behind the same as before.
    """
    before = -1
    reached: dict[int, int] = {}  # value → how many values had been reached with it
    bound: dict[int, int] = {}  # value → how many had been reached when it was bound last
    for point in chain:
        node = graph.node_of.get(point.value)
        if node is None or (
            point.value in reached if point.raises else _says_nothing(point.value, reached, bound)
        ):
            continue
        here = graph.moment(point.index)
        if before >= 0:
            graph.edge(before, here)
        before = here
        if point.raises:
            reached[point.value] = len(reached) + 1
            graph.edge(node, here)
        else:
            bound[point.value] = len(reached)
            graph.edge(here, node)


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
        left = self._not_sortable()
        for component in self._components(left) if left else ():
            values = [node for node in component if node < len(self.values)]
            if len(values) > 1:
                there = self._path(values[0], values[1], component)
                back = self._path(values[1], values[0], component)
                return self._told(there[:-1] + back[:-1])
        return None

    def _not_sortable(self) -> set[int]:
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


# observations


def node_chains(operations: Operations, indexes: Sequence[int]) -> list[Chain]:
    """For each node its reads in time: one that was called after another returned may not go back."""
    by_node: dict[int, list[int]] = defaultdict(list)
    for index in indexes:
        is_read = operations.kind[index] in (GET, DELETE_MISSED) and operations.outcome[index] == OK
        if is_read and operations.node[index] != NOWHERE:
            by_node[operations.node[index]].append(index)
    chains: list[Chain] = []
    for reads in by_node.values():
        events = [(operations.call_ns[index], False, index) for index in reads]
        events += [(operations.return_ns[index], True, index) for index in reads]
        events.sort()
        chains.append([Point(returns, operations.value[index], index) for _, returns, index in events])
    return chains


def session_chains(operations: Operations, indexes: Sequence[int], name: str) -> list[Chain]:
    """For each client what a session guarantee says about its answered operations on one key."""
    rule = GUARANTEES[name]
    sessions: dict[int, list[Point]] = defaultdict(list)
    for index in sorted(indexes, key=operations.call_ns.__getitem__):
        if operations.outcome[index] != OK or operations.kind[index] == CAS_MISSED:
            continue
        is_read = operations.kind[index] in (GET, DELETE_MISSED)
        chain, value = sessions[operations.process[index]], operations.value[index]
        if rule.reads_bound if is_read else rule.writes_bound:
            chain.append(Point(False, value, index))
        if rule.reads_raise if is_read else rule.writes_raise:
            chain.append(Point(True, value, index))
    return list(sessions.values())


ABOUT_PREFIX = (
    "each node's reads of a key walk forward along some order of its writes that the leader's allow"
)
NAMES = ("prefix", *GUARANTEES)


def by_key(
    history: History, followers: Sequence[int], sessions: Sequence[int], leader_rows: frozenset[int]
) -> dict[str, Answer]:
    """`prefix` for the reads at `followers` and every session guarantee for the operations at `sessions`,
    key by key.

    `leader_rows` are the reads that the leader served. A key that satisfies all of them together, as keys
    mostly do, satisfies each, so that one graph decides it.
    """
    cases = {name: _Case(name) for name in NAMES}
    watched = {name: frozenset(followers if name == "prefix" else sessions) for name in NAMES}
    for key, rows in history.operations.rows_by_key().items():
        part = history.operations.of_key(key, rows)
        seen = {name: [at for at in range(len(part)) if part.row(at) in watched[name]] for name in NAMES[:2]}
        indexes = {name: seen[NAMES[0] if name == NAMES[0] else NAMES[1]] for name in NAMES}
        writes = writes_of(part, [at for at in range(len(part)) if part.row(at) in leader_rows])
        if writes is None or history.initial_number(key) != ABSENT:
            _leave(cases, indexes, OUTSIDE)
        elif circle(writes) is not None:
            _leave(cases, indexes, NOT_LINEAR)
        else:
            _judge_key(history, part, writes, indexes, cases)
    return {name: case.answer() for name, case in cases.items()}


class _Case:
    """One guarantee over all keys: what was judged, found and left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.judged = 0
        self.findings: list[Finding] = []
        self.unjudged = {OUTSIDE: 0, NOT_LINEAR: 0}

    def answer(self) -> Answer:
        about = ABOUT_PREFIX if self.name == "prefix" else GUARANTEES[self.name].about + ", key by key"
        measured = {"order": "inferred for each key"} if self.judged else {}
        return answer(self.name, about, self.judged, self.findings, unjudged=self.unjudged, measured=measured)


def _leave(cases: dict[str, _Case], indexes: dict[str, list[int]], why: str) -> None:
    for name, case in cases.items():
        case.unjudged[why] += len(indexes[name])


def _judge_key(
    history: History, part: Operations, writes: Writes, indexes: dict[str, list[int]], cases: dict[str, _Case]
) -> None:
    for name, case in cases.items():
        case.judged += len(indexes[name])
    nodes, strongest = (
        node_chains(part, indexes["prefix"]),
        session_chains(part, indexes["sequential"], "sequential"),
    )
    if circle(writes, [*nodes, *strongest]) is None:
        return
    for name, case in cases.items():
        chains = nodes if name == "prefix" else session_chains(part, indexes[name], name)
        case.findings += _told(history, part, circle(writes, chains))


def _told(history: History, part: Operations, found: Circle | None) -> list[Finding]:
    if found is None:
        return []
    key = part.keys[part.key[0]] or ""
    rows = {part.row(index) for pair in found.pairs for index in pair}
    in_time = sorted(rows, key=history.operations.call_ns.__getitem__)
    values = " before ".join(_name(part.values[value]) for value in (*found.values, found.values[0]))
    said = "; ".join(
        f"{whom(part, before)} came before {whom(part, after)}" for before, after in found.pairs[:3]
    )
    message = f"key {key!r}: its writes would have to be in a circle, {values}: {said}"
    return [Violation(message, key=key, rows=tuple(in_time), picture=picture(history, in_time))]


def _name(value: str | None) -> str:
    return "absent" if value is None else repr(value)
