"""Prefix, session guarantees, staleness and lost writes with the leader's log, each against its
definition.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import pytest

from kvsim.checks.consistency.leader_log import LeaderLog, leader_log_of
from kvsim.checks.consistency.lost_writes import lost_writes
from kvsim.checks.consistency.prefix import prefix
from kvsim.checks.consistency.session_guarantees import (
    SESSION_GUARANTEES,
    SessionGuarantee,
    session_guarantee,
)
from kvsim.checks.consistency.staleness import measure_reads
from kvsim.history.history import NODE_ENDED, FaultSpan, History
from kvsim.history.operations import Operation, Operations

Log = list[tuple[str, str | None]]
KEYS = ["x", "y"]


def states(log: Log) -> list[dict[str, str | None]]:
    """The store at every position of the log."""
    found: list[dict[str, str | None]] = [{}]
    for key, value in log:
        found.append({**found[-1], key: value})
    return found


def random_history(rng: random.Random) -> History:
    """A short log with deletes and a value written again, and operations whose reads show some of
    its states.
    """
    log: Log = []
    for number in range(rng.randrange(1, 7)):
        value = rng.choice([None, "again", f"v{number}", f"v{number}", f"v{number}"])
        log.append((rng.choice(KEYS), value))
    operations, clock, unwritten = (
        Operations(),
        [0, 0],
        [w for w in log if w[1] not in (None, "again")],
    )
    rng.shuffle(unwritten)
    for _ in range(rng.randrange(1, 7)):
        process = rng.randrange(2)
        call = clock[process] + rng.randrange(3)
        back = call + rng.randrange(4)
        clock[process] = back + 1
        if unwritten and rng.random() < 0.4:
            key, value = unwritten.pop()
            operations.add(call, back, process, key, "put", value, node="n0")
        else:
            key = rng.choice(KEYS)
            value = rng.choice(states(log)).get(key)
            operations.add(call, back, process, key, "get", value, node=f"n{rng.randrange(2)}")
    return History(operations, leader_log=tuple(log))


def places(operation: Operation, log: Log) -> list[int]:
    """Every position at which this operation can stand."""
    if operation.kind == "get":
        return [
            at
            for at, state in enumerate(states(log))
            if state.get(operation.key) == operation.value
        ]
    return [at for at, write in enumerate(log, 1) if write == (operation.key, operation.value)]


def some_places(
    operations: list[Operation], log: Log, fits: Callable[[int, int, tuple[int, ...]], bool]
) -> bool:
    """Is there a choice of positions that fits for each two operations?"""
    pairs = list(itertools.permutations(range(len(operations)), 2))
    choices = itertools.product(*(places(operation, log) for operation in operations))
    return any(all(fits(a, b, chosen) for a, b in pairs) for chosen in choices)


def groups(operations: list[Operation], by: str) -> Iterator[list[Operation]]:
    found = defaultdict(list)
    for operation in operations:
        found[getattr(operation, by)].append(operation)
    return iter(found.values())


def session_holds(rule: SessionGuarantee, operations: list[Operation], log: Log) -> bool:
    for session in groups(operations, "process"):

        def fits(
            a: int, b: int, chosen: tuple[int, ...], session: list[Operation] = session
        ) -> bool:
            if session[a].return_ns >= session[b].call_ns:
                return True
            raises = rule.reads_raise if session[a].kind == "get" else rule.writes_raise
            bound = rule.reads_bound if session[b].kind == "get" else rule.writes_bound
            return not (raises and bound) or chosen[a] <= chosen[b]

        if not some_places(session, log, fits):
            return False
    return True


def prefix_holds(operations: list[Operation], log: Log) -> bool:
    for reads in groups([one for one in operations if one.kind == "get"], "node"):

        def fits(a: int, b: int, chosen: tuple[int, ...], reads: list[Operation] = reads) -> bool:
            return reads[a].return_ns >= reads[b].call_ns or chosen[a] <= chosen[b]

        if not some_places(reads, log, fits):
            return False
    return True


def test_order_guarantees_agree_with_their_definitions() -> None:
    rng, counts = random.Random(12), Counter[tuple[str, bool]]()
    for _ in range(1_500):
        history = random_history(rng)
        order, log, operations = (
            leader_log_of(history),
            list(history.leader_log or ()),
            list(history.operations),
        )
        assert order is not None
        for name, rule in SESSION_GUARANTEES.items():
            holds = session_holds(rule, operations, log)
            assert (not session_guarantee(name, history, order).findings) is holds, (
                name,
                operations,
                log,
            )
            counts[name, holds] += 1
        holds = prefix_holds(operations, log)
        assert (not prefix(history, order).findings) is holds, (operations, log)
        counts["prefix", holds] += 1
    assert len(counts) == 12 and min(counts.values()) > 10


def test_first_position_agrees_with_the_states() -> None:
    rng = random.Random(13)
    for _ in range(250):
        history = random_history(rng)
        log, numbers = list(history.leader_log or ()), history.operations
        order = leader_log_of(history)
        assert order is not None
        for key, value in {*log, *((key, None) for key in KEYS)}:
            for floor in range(len(log) + 1):
                fitting = [
                    at
                    for at, state in enumerate(states(log))
                    if state.get(key) == value and at >= floor
                ]
                found = order.first_position(
                    numbers.keys.number(key), numbers.values.number(value), floor
                )
                assert found == min(fitting, default=None)


def staleness_by_definition(history: History, read: Operation, log: Log) -> tuple[int, int, int]:
    """From the sentences in the module: the next write of the key, and acknowledged later writes
    before the call.
    """
    place = places(read, log)[0]
    later = [(at, write) for at, write in enumerate(log, 1) if write[0] == read.key and at > place]
    writes = {(one.key, one.value): one for one in history.operations if one.kind == "put"}
    certain = possible = 0
    if later and later[0][1] in writes:
        following = writes[later[0][1]]
        certain = max(0, read.call_ns - following.return_ns)
        possible = max(0, read.return_ns - following.call_ns)
    done = [
        write for _, write in later if write in writes and writes[write].return_ns < read.call_ns
    ]
    return certain, possible, len(done)


def test_staleness_agrees_with_its_definition() -> None:
    rng, stale = random.Random(14), 0
    for _ in range(1_000):
        history = random_history(rng)
        log, order = list(history.leader_log or ()), leader_log_of(history)
        assert order is not None
        for found in measure_reads(history, order):
            read = history.operations.operation(found.row)
            truth = staleness_by_definition(history, read, log)
            assert (found.certain_ns, found.possible_ns, found.versions) == truth, (
                list(history.operations),
                log,
            )
            stale += truth[0] > 0
    assert stale > 50


def two_keys_out_of_order(*, faults: tuple[FaultSpan, ...] = ()) -> History:
    """A follower that applied two writes of different keys in the wrong order: each key alone looks
    fine.
    """
    operations = Operations()
    operations.add(0, 1, 0, "x", "put", "1", node="n1")
    operations.add(2, 3, 0, "y", "put", "2", node="n1")
    operations.add(10, 11, 1, "y", "get", "2", node="n2")
    operations.add(12, 13, 1, "x", "get", None, node="n2")
    return History(operations, leader_log=(("x", "1"), ("y", "2")), faults=faults)


def test_prefix_sees_two_keys_in_the_wrong_order() -> None:
    history = two_keys_out_of_order()
    order = leader_log_of(history)
    assert order is not None
    (finding,) = prefix(history, order).findings
    assert (
        finding.node == "n2" and "position 0" in finding.message and "position 2" in finding.message
    )


def test_a_node_that_was_killed_may_go_back() -> None:
    history = two_keys_out_of_order(faults=(FaultSpan("kill", ("n2",), 11, 12, NODE_ENDED),))
    order = leader_log_of(history)
    assert order is not None
    assert not prefix(history, order).findings


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ((), "is not in the leader's log"),
        ((("k", "a"), ("k", "a")), "is in the leader's log 2 times"),
    ],
)
def test_a_lost_and_a_doubled_write_are_named(log: tuple, message: str) -> None:
    operations = Operations()
    operations.add(0, 1, 7, "k", "put", "a", node="n1")
    operations.add(2, None, 7, "k", "put", "b", outcome="unknown")
    history = History(operations, leader_log=log)
    result = lost_writes(history, leader_log_of(history))
    assert result.judged == 1
    assert result.findings[0].message == f"acknowledged put('a') by client 7 at n1 {message}"


def test_an_order_without_the_key_holds_its_initial_value_for_ever() -> None:
    order = LeaderLog([], {3: 9})
    assert (
        order.first_position(3, 9, 5) == 5
        and order.first_position(3, 8) is None
        and order.first_position(4, 0, 2) == 2
    )
