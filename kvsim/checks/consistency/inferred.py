"""Without the leader's log: prefix and session guarantees, key by key, against any order of a key's writes
that the leader's own operations and all observations allow. Pure.

Weaker than with a log: keys are taken one by one, so that two keys' writes in the wrong order go unseen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.picture import picture
from kvsim.checks.consistency.precedence import Chain, Circle, Point, Writes, circle
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

OUTSIDE = "operations on keys with appends, values written twice or a value at the start, whose order only a log tells"
DELETED = "deletes, and reads that found nothing, of keys with deletes, whose order only a log tells"
NOT_LINEAR = "operations on keys for which the leader's own operations already have no order"


def writes_of(operations: Operations, leader_reads: Iterable[int]) -> Writes | None:
    """The writes of one key's `operations`, with the reads at `leader_reads`. None when outside what this
    can do.

    On a key with deletes "absent" comes more than once and is left out: what the values say of each other
    still holds.
    """
    writes, deleted = Writes(), False
    columns = zip(operations.kind, operations.outcome, operations.value, strict=True)
    for index, (kind, outcome, value) in enumerate(columns):
        if outcome == REFUSED:
            continue
        if kind == APPEND or (kind in (PUT, CAS) and value in writes.first):
            return None
        deleted |= kind == DELETE
        if kind in (PUT, CAS):
            writes.first[value] = operations.return_ns[index] if outcome == OK else NEVER
            writes.last[value] = operations.call_ns[index]
    if deleted:
        del writes.first[ABSENT], writes.last[ABSENT]
    for index in leader_reads:
        value = operations.value[index]
        if value not in writes.first:
            if value == ABSENT:
                continue
            return None
        writes.first[value] = min(writes.first[value], operations.return_ns[index])
        writes.last[value] = max(writes.last[value], operations.call_ns[index])
    return writes


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
        self.unjudged = {OUTSIDE: 0, DELETED: 0, NOT_LINEAR: 0}

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
        told = sum(part.value[index] in writes.first for index in indexes[name])
        case.judged += told
        case.unjudged[DELETED] += len(indexes[name]) - told
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
