"""Prefix and sessions without the leader's log, several keys together: held against every order
that the leader's own operations allow.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence

from kvsim.checks.consistency.inferred.infer import infer
from kvsim.checks.consistency.leader_log import LeaderLog
from kvsim.checks.consistency.prefix import prefix
from kvsim.checks.consistency.session_guarantees import SESSION_GUARANTEES, session_guarantee
from kvsim.history.history import NODE_ENDED, FaultSpan, History
from kvsim.history.operations import ABSENT, DELETE, GET, NEVER, OK, PUT, Operations

KEYS = ["x", "y"]


def played(rng: random.Random, *, deletes: bool) -> tuple[History, list[int], list[int]]:
    """A right leader's writes and reads, and reads of followers that show what they like: the
    history, the leader's reads, the followers'.
    """
    operations, store, now = Operations(), dict[str, str | None](), 0
    shown: dict[str, list[str | None]] = {key: [None] for key in KEYS}
    for number in range(rng.randrange(2, 6)):
        now += rng.randrange(1, 4)
        call, back, key = now - rng.randrange(4), now + rng.randrange(4), rng.choice(KEYS)
        process = rng.randrange(3)
        if rng.random() < 0.25:
            operations.add(call, back, 10 + number, key, "get", store.get(key), node="n1")
            continue
        value = None if deletes and rng.random() < 0.4 else f"v{number}"
        kind, lost = ("delete" if value is None else "put"), rng.random() < 0.2
        outcome = "unknown" if lost else "ok"
        operations.add(
            call, None if lost else back, process, key, kind, value, outcome=outcome, node="n1"
        )
        if not lost or rng.random() < 0.5:
            store[key] = value
        shown[key].append(value)
    leader_reads = [row for row, kind in enumerate(operations.kind) if kind == GET]
    first = len(operations)
    for _ in range(rng.randrange(2, 6)):
        key, call = rng.choice(KEYS), rng.randrange(now + 4)
        value, node = rng.choice(shown[key]), f"n{rng.randrange(2, 4)}"
        operations.add(
            call, call + rng.randrange(4), rng.randrange(3), key, "get", value, node=node
        )
    faults = (
        (FaultSpan("kill", ("n2",), now // 2, now // 2 + 1, NODE_ENDED),)
        if rng.random() < 0.3
        else ()
    )
    return History(operations, faults=faults), leader_reads, list(range(first, len(operations)))


def orders(history: History, leader_reads: Sequence[int]) -> Iterator[list[int]]:
    """Every order of the leader's writes (rows; unknown ones that were not read may be missing) in
    which its reads have a place.
    """
    operations = history.operations
    writes = [row for row, kind in enumerate(operations.kind) if kind in (PUT, DELETE)]
    read = {operations.value[row] for row, kind in enumerate(operations.kind) if kind == GET} - {
        ABSENT
    }
    must = [row for row in writes if operations.outcome[row] == OK or operations.value[row] in read]
    may = [row for row in writes if row not in must]
    for size in range(len(may) + 1):
        for extra in itertools.combinations(may, size):
            for order in itertools.permutations([*must, *extra]):
                if has_place(operations, list(order), {}, frozenset(leader_reads)):
                    yield list(order)


def has_place(
    operations: Operations, writes: list[int], store: dict[int, int], reads: frozenset[int]
) -> bool:
    """May the writes happen in this order, with the reads between, each within its time?"""
    left = [*writes, *reads]
    if not left:
        return True
    first_end = min(operations.return_ns[row] for row in left)
    for read in reads:
        fits = store.get(operations.key[read], 0) == operations.value[read]
        if fits and operations.call_ns[read] <= first_end:
            return has_place(operations, writes, store, reads - {read})
    if not writes or operations.call_ns[writes[0]] > first_end:
        return False
    head = writes[0]
    after = {**store, operations.key[head]: operations.value[head]}
    return has_place(operations, writes[1:], after, reads)


def as_log(operations: Operations, rows: Sequence[int]) -> LeaderLog:
    return LeaderLog([(operations.key[row], operations.value[row]) for row in rows])


def ends_alike(operations: Operations) -> bool:
    """An unknown operation's end is nowhere: the oracle reads it from the column."""
    return all(
        end == NEVER
        for end, outcome in zip(operations.return_ns, operations.outcome, strict=True)
        if outcome != OK
    )


def test_what_all_keys_together_forbid_no_order_allows() -> None:
    rng, counts = random.Random(21), Counter[tuple[bool, bool]]()
    for number in range(1_200):
        history, leader_reads, watched = played(rng, deletes=number % 3 == 0)
        assert ends_alike(history.operations)
        result = infer(history, watched, [], leader_reads)["prefix"]
        allowed = any(
            not prefix(history, as_log(history.operations, order), watched).findings
            for order in orders(history, leader_reads)
        )
        assert not (result.findings and allowed), (list(history.operations), result.findings)
        counts[bool(result.findings), allowed] += 1
    assert counts[True, False] > 70 and counts[False, True] > 250
    assert counts[False, False] < counts[True, False]  # what overlaps may go unseen; most does not


def test_what_sessions_over_all_keys_forbid_no_order_allows() -> None:
    rng, counts = random.Random(22), Counter[tuple[str, bool]]()
    for number in range(600):
        deletes = number % 3 == 0
        history, leader_reads, watched = played(rng, deletes=deletes)
        rows = range(len(history.operations))
        results = infer(history, watched, rows, leader_reads)
        logs = [as_log(history.operations, order) for order in orders(history, leader_reads)]
        for name, rule in SESSION_GUARANTEES.items():
            if deletes and rule.writes_raise:
                continue  # against a log a client's own deletes have no place, and say nothing
            allowed = any(not session_guarantee(name, history, log).findings for log in logs)
            assert not (results[name].findings and allowed), (name, list(history.operations))
            counts[name, bool(results[name].findings)] += 1
    for name in ("read_your_writes", "monotonic_reads", "sequential"):
        assert counts[name, True] > 8, counts


def test_a_follower_that_passes_over_a_write_of_another_key_is_named() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "x", "put", "x1", node="n1")
    operations.add(2, 3, 0, "x", "put", "x2", node="n1")
    operations.add(4, 5, 0, "y", "put", "y1", node="n1")
    operations.add(6, 7, 1, "y", "get", "y1", node="n2")
    operations.add(8, 9, 2, "x", "get", "x1", node="n2")
    (finding,) = infer(History(operations), [3, 4], [], ())["prefix"].findings
    assert finding.message == (
        "key 'x': get → 'x1' by client 2 at n2 does not show put('x2') by client 0 at n1, "
        "which had completed before put('y1') of key 'y' was called, "
        "which get → 'y1' by client 1 at n2 had shown before"
    )
    assert finding.rows == (1, 2, 3, 4)
    assert "x: put('x2')" in finding.timeline and "y: get → 'y1'" in finding.timeline
    reborn = History(operations, faults=(FaultSpan("restart", ("n2",), 7, 8, NODE_ENDED),))
    assert not infer(reborn, [3, 4], [], ())["prefix"].findings
