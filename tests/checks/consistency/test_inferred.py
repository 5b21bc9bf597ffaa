"""What can be judged without the leader's log: orders inferred key by key, final reads, shifts in
time; by definition.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter

from kvsim.checks.consistency.inferred.clusters import LeaderClusters, clusters_of
from kvsim.checks.consistency.inferred.infer import infer
from kvsim.checks.consistency.inferred.observations import node_observations, session_observations
from kvsim.checks.consistency.inferred.precedence_graph import Observation, find_cycle
from kvsim.checks.consistency.lost_writes import lost_by_final_read, lost_writes
from kvsim.checks.consistency.staleness import delta_ns
from kvsim.checks.linearizability.register import Register, register_of
from kvsim.history.history import FinalRead, History
from kvsim.history.operations import ABSENT, DELETE, GET, NEVER, OK, PUT, Operations
from tests.checks.linearizability.history_builders import operations_of, true_register
from tests.checks.linearizability.oracles import linearizable


def linearizable_in_order(register: Register, order: tuple[int, ...]) -> bool:
    """Is there a linearization in which the writes stand in this order of values?"""

    def extend(state: int, left: frozenset[int], values: tuple[int, ...]) -> bool:
        if not left:
            return True
        for at in left:
            if any(register.until[other] < register.call[at] for other in left):
                continue
            rest = left - {at}
            if register.kind[at] == GET:
                if register.value[at] == state and extend(state, rest, values):
                    return True
            elif values and register.value[at] == values[0] and extend(values[0], rest, values[1:]):
                return True
        return False

    return extend(ABSENT, frozenset(range(len(register))), order)


def chain_fits(order: tuple[int, ...], chain: list[Observation]) -> bool:
    """No value is seen again after a later one was reached."""
    rank = {ABSENT: -1, **{value: at for at, value in enumerate(order)}}
    reached = -1
    for point in chain:
        if point.value not in rank:
            continue
        if not point.raises and rank[point.value] < reached:
            return False
        if point.raises:
            reached = max(reached, rank[point.value])
    return True


def watched_history(rng: random.Random) -> tuple[Operations, list[int], list[int]]:
    """A leader's operations, and followers' reads of values it had written: columns, leader's
    reads, followers' reads.
    """
    register = true_register(
        rng, rng.randrange(2, 7), 3, {PUT: 2.0, GET: 1.0}, ties=rng.random() < 0.5
    )
    operations = operations_of(register)
    leader_reads = [at for at, kind in enumerate(register.kind) if kind == GET]
    written = [
        value for value, kind in zip(register.value, register.kind, strict=True) if kind == PUT
    ]
    horizon, watched = max(register.until) + 2, []
    for _ in range(rng.randrange(1, 5)):
        call = rng.randrange(horizon)
        counts = operations.values[rng.choice([ABSENT, *written])]
        back = call + rng.randrange(1 + horizon // 3)
        process = rng.randrange(2)
        watched.append(operations.add(call, back, process, "k", "get", counts, node=f"n{process}"))
    return operations, leader_reads, watched


def test_an_order_is_found_exactly_when_there_is_one() -> None:
    rng, counts = random.Random(15), Counter[bool]()
    for number in range(800):
        operations, leader_reads, watched = watched_history(rng)
        writes = clusters_of(operations, leader_reads)
        assert writes is not None
        authority = register_of(
            operations.select([at for at in range(len(operations)) if at not in watched])
        )
        by_node, by_session = (
            node_observations(operations, watched),
            session_observations(operations, watched, "monotonic_reads"),
        )
        chains = by_node if number % 2 else by_session
        values = [value for value in writes.first if value != ABSENT]
        truth = any(
            linearizable_in_order(authority, order)
            and all(chain_fits(order, list(chain)) for chain in chains)
            for order in itertools.permutations(values)
        )
        assert (find_cycle(writes, chains) is None) is truth, list(operations)
        counts[truth] += 1
    assert min(counts.values()) > 60


def test_real_time_allows_an_order_exactly_when_no_two_values_exclude_each_other() -> None:
    rng, counts = random.Random(23), Counter[bool]()
    for _ in range(2_500):
        writes, horizon = LeaderClusters(), rng.choice([6, 12, 40])
        for value in range(1, rng.randrange(2, 7)):
            call = rng.randrange(horizon)
            back = NEVER if rng.random() < 0.15 else call + rng.randrange(1 + horizon // 2)
            read = call + rng.randrange(horizon) if rng.random() < 0.5 else -1
            writes.last[value] = max(call, read)
            writes.first[value] = min(back, read + rng.randrange(4)) if read >= 0 else back
        pairs = itertools.combinations(writes.first, 2)
        before = {
            (u, v): writes.first[u] < writes.last[v] for u in writes.first for v in writes.first
        }
        truth = not any(before[u, v] and before[v, u] for u, v in pairs)
        assert writes.have_an_order() is truth, writes
        counts[truth] += 1
    assert min(counts.values()) > 250


def test_a_follower_that_goes_back_is_shown_by_its_two_reads() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a", node="n1")
    operations.add(2, 3, 0, "k", "put", "b", node="n1")
    operations.add(10, 11, 1, "k", "get", "b", node="n2")
    operations.add(12, 13, 2, "k", "get", "a", node="n2")
    result = infer(History(operations), [2, 3], [], frozenset())["prefix"]
    assert result.judged == 1  # before its first read a node had shown nothing
    (finding,) = result.findings
    assert "get → 'b' by client 1 at n2 came before get → 'a' by client 2 at n2" in finding.message
    assert finding.rows == (2, 3)


def final_history(rng: random.Random) -> tuple[History, int]:
    register = true_register(
        rng, rng.randrange(1, 7), 3, {PUT: 2.0, GET: 1.0, DELETE: 0.5}, unknown=0.2
    )
    operations = operations_of(register)
    written = [
        value for value, kind in zip(register.value, register.kind, strict=True) if kind == PUT
    ]
    final = rng.choice([ABSENT, *written])
    return History(operations, finals=(FinalRead("n1", "k", operations.values[final]),)), final


def is_lost(register: Register, put: int, final: int) -> bool:
    """By definition: this put, the operations on the final value (or all deletes) and the final
    read have no order.
    """
    kept = [
        at
        for at in range(len(register))
        if at == put
        or (register.kind[at] == DELETE if final == ABSENT else register.value[at] == final)
    ]
    end = max([time for time in (*register.call, *register.until) if time != NEVER]) + 1

    def with_final(rows: list[int]) -> Register:
        part = register.subset(rows)
        part.add(end, end, GET, final, 0, -1)
        return part

    without = with_final([at for at in kept if at != put])
    return not linearizable(with_final(kept)) and linearizable(without)


def test_lost_by_the_final_read_agrees_with_its_definition() -> None:
    rng, counts = random.Random(16), Counter[bool]()
    for _ in range(1_000):
        history, final = final_history(rng)
        register = register_of(history.operations)
        found = lost_by_final_read(history, range(len(history.operations)), final)
        for row in range(len(register)):
            acknowledged = register.kind[row] == PUT and history.operations.outcome[row] == OK
            if acknowledged and register.value[row] != final:
                truth = is_lost(register, row, final)
                assert (row in found) is truth, (register, final, row)
                counts[truth] += 1
    assert min(counts.values()) > 60


def test_a_write_that_one_node_still_holds_is_not_lost() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a", node="n1")
    operations.add(2, 3, 0, "k", "put", "b", node="n1")
    one = History(operations, finals=(FinalRead("n1", "k", "a"),))
    both = History(operations, finals=(FinalRead("n1", "k", "a"), FinalRead("n2", "k", "b")))
    (finding,) = lost_writes(one, None).findings
    assert (
        "acknowledged put('b') by client 0 at n1 is lost: at the end the key holds 'a'"
        in finding.message
    )
    assert not lost_writes(both, None).findings


def shifted(register: Register, delta: int) -> Register:
    copy = register.subset(range(len(register)))
    copy.call = [
        call - delta if kind == GET else call
        for call, kind in zip(register.call, register.kind, strict=True)
    ]
    return copy


def test_delta_is_the_least_shift_that_explains_every_read() -> None:
    rng, stale = random.Random(17), 0
    for _ in range(120):
        register = true_register(rng, rng.randrange(3, 8), 2, {PUT: 1.0, GET: 1.0})
        register.call = [time // 200_000 for time in register.call]
        register.until = [time // 200_000 for time in register.until]
        puts = [at for at, kind in enumerate(register.kind) if kind == PUT]
        reads = [at for at, kind in enumerate(register.kind) if kind == GET]
        for read in reads[-1:]:
            old = [
                register.value[put] for put in puts if register.call[put] <= register.until[read]
            ]
            register.value[read] = rng.choice([*old, ABSENT])
        found = delta_ns(register)
        fitting = [delta for delta in range(60) if linearizable(shifted(register, delta))]
        assert found == (fitting[0] if fitting else None), register
        stale += bool(found)
    assert stale > 8
