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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

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


@dataclass(frozen=True)
class Point:
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
    graph = _Graph()
    _add_time(graph, writes)
    for chain in chains:
        _add_chain(graph, [point for point in chain if point.value in writes.first])
    return graph.circle()


def _add_chain(graph: _Graph, chain: Chain) -> None:
    before: Node | None = None
    for point in chain:
        here = graph.moment(point.index)
        if before is not None:
            graph.edge(before, here)
        value: Node = ("value", point.value)
        graph.edge(*((value, here) if point.raises else (here, value)))
        before = here


Node = tuple[str, int]
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
    before: Node | None = None
    for _, what, value in points:
        here: Node = ("value", value) if what == CURRENT else graph.moment(None)
        if before is not None:
            graph.edge(before, here)
        if what in (CALLED, CALLED_INSIDE):
            graph.edge(here, ("value", value))
        elif what == RETURNED:
            graph.edge(("value", value), here)
        before = here


class _Graph:
    """Values and moments, with an edge from what comes before to what comes after."""

    def __init__(self) -> None:
        self.after: dict[Node, list[Node]] = defaultdict(list)
        self.before: dict[Node, list[Node]] = defaultdict(list)
        self.seen_by: list[
            int | None
        ] = []  # moment → the operation that it belongs to, when it is an observation's

    def moment(self, index: int | None) -> Node:
        self.seen_by.append(index)
        return "moment", len(self.seen_by) - 1

    def edge(self, before: Node, after: Node) -> None:
        self.after[before].append(after)
        self.before[after].append(before)

    def circle(self) -> Circle | None:
        """A shortest circle through two values that reach each other; None when no two do."""
        for component in self._components():
            values = [node for node in component if node[0] == "value"]
            if len(values) > 1:
                there = self._path(values[0], values[1], component)
                back = self._path(values[1], values[0], component)
                return self._told(there[:-1] + back[:-1])
        return None

    def _components(self) -> list[set[Node]]:
        """Strongly connected components of more than one node (Kosaraju)."""
        order: list[Node] = []
        visited: set[Node] = set()
        for root in list(self.after):
            if root not in visited:
                _visit(root, self.after, visited, order)
        components, assigned = [], set[Node]()
        for root in reversed(order):
            if root not in assigned:
                component: list[Node] = []
                _visit(root, self.before, assigned, component)
                if len(component) > 1:
                    components.append(set(component))
        return components

    def _path(self, start: Node, goal: Node, inside: set[Node]) -> list[Node]:
        """A shortest path, breadth first."""
        came_from: dict[Node, Node] = {start: start}
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

    def _told(self, path: list[Node]) -> Circle:
        """The values on a closed path, and the operations where it enters and leaves a chain of observations."""
        values = [number for kind, number in path if kind == "value"]
        pairs: list[tuple[int, int]] = []
        at = path.index(("value", values[0]))
        run: list[int] = []
        for kind, number in [*path[at + 1 :], *path[: at + 1]]:
            if kind == "moment":
                index = self.seen_by[number]
                run += [] if index is None else [index]
            else:
                pairs += [(run[0], run[-1])] if run else []
                run = []
        return Circle(tuple(values), tuple(pairs))


def _visit(root: Node, edges: dict[Node, list[Node]], visited: set[Node], order: list[Node]) -> None:
    """Depth first from `root` without recursion; appends nodes to `order` as they are left."""
    visited.add(root)
    stack = [(root, iter(edges.get(root, ())))]
    while stack:
        node, following = stack[-1]
        for one in following:
            if one not in visited:
                visited.add(one)
                stack.append((one, iter(edges.get(one, ()))))
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


def prefix_by_key(history: History, rows: Sequence[int], leader_rows: frozenset[int]) -> Answer:
    """The `prefix` check key by key, for reads at `rows`; `leader_rows` are reads that the leader served."""
    about = "each node's reads of a key walk forward along some order of its writes that the leader's allow"
    return _judge(history, rows, leader_rows, "prefix", about, node_chains)


def session_by_key(history: History, rows: Sequence[int], leader_rows: frozenset[int], name: str) -> Answer:
    """A session guarantee key by key, for operations at `rows`."""
    about = GUARANTEES[name].about + ", key by key"

    return _judge(history, rows, leader_rows, name, about, partial(session_chains, name=name))


def _judge(
    history: History,
    rows: Sequence[int],
    leader_rows: frozenset[int],
    name: str,
    about: str,
    chains_of: Callable[[Operations, Sequence[int]], list[Chain]],
) -> Answer:
    operations, wanted = history.operations, set(rows)
    findings: list[Finding] = []
    judged, unjudged = 0, {OUTSIDE: 0, NOT_LINEAR: 0}
    for key, its_rows in operations.rows_by_key().items():
        part = operations.of_key(key, its_rows)
        watched = [index for index in range(len(part)) if part.row(index) in wanted]
        writes = writes_of(part, [index for index in range(len(part)) if part.row(index) in leader_rows])
        if writes is None or history.initial_number(key) != ABSENT:
            unjudged[OUTSIDE] += len(watched)
        elif circle(writes) is not None:
            unjudged[NOT_LINEAR] += len(watched)
        else:
            judged += len(watched)
            findings += _of_key(history, part, circle(writes, chains_of(part, watched)))
    measured = {"order": "inferred for each key"}
    return answer(name, about, judged, findings, unjudged=unjudged, measured=measured)


def _of_key(history: History, part: Operations, found: Circle | None) -> list[Finding]:
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
