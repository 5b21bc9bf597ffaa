"""Checks of roles, final states, availability and amounts, against brute force where a definition
allows one.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from msgspec.structs import replace

from kvsim.checks.consistency.availability import available, recovers
from kvsim.checks.consistency.case import Minima
from kvsim.checks.consistency.convergence import converged
from kvsim.checks.consistency.exercised import exercised
from kvsim.checks.consistency.leadership import (
    UNCONFIRMED,
    one_leader_per_term,
    writes_only_at_leader,
)
from kvsim.checks.consistency.written_values import read_values_were_written
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FaultSpan, FinalRead, History, RoleSample
from kvsim.history.operations import NEVER, Operations


def sampled(rng: random.Random) -> tuple[History, list[list[tuple[str, int]]]]:
    """Two nodes that change roles at random moments, samples of them, and writes; with the true
    role at every tick.
    """
    truth, samples, operations = [], [], Operations()
    for node in range(2):
        role, term, ticks = rng.choice(["leader", "follower"]), 1, []
        for tick in range(30):
            if rng.random() < 0.08:
                role, term = ("follower" if role == "leader" else "leader"), term + 1
            ticks.append((role, term))
            if rng.random() < 0.4:
                samples.append(RoleSample(tick, f"n{node}", role, term))
        truth.append(ticks)
    for number in range(6):
        call = rng.randrange(28)
        operations.add(
            call,
            call + rng.randrange(2),
            number,
            "k",
            "put",
            f"v{number}",
            node=f"n{rng.randrange(2)}",
        )
    return History(operations, samples=tuple(samples)), truth


def certainly_follower(history: History, node: str, begin: int, end: int) -> bool:
    """By definition: the samples around the write agree on follower and term, and none between says
    otherwise.
    """
    mine = sorted((one for one in history.samples if one.node == node), key=lambda one: one.at_ns)
    before = [one for one in mine if one.at_ns <= begin]
    after = [one for one in mine if one.at_ns >= end]
    if not before or not after:
        return False
    around = [one for one in mine if before[-1].at_ns <= one.at_ns <= after[0].at_ns]
    return {(one.role, one.term) for one in around} == {("follower", around[0].term)}


def test_writes_at_followers_agree_with_their_definition() -> None:
    rng, counts = random.Random(18), Counter[bool]()
    for _ in range(800):
        history, truth = sampled(rng)
        found = {finding.rows[0] for finding in writes_only_at_leader(history).findings}
        for row, write in enumerate(history.operations):
            assert write.node is not None and write.return_ns is not None
            certain = certainly_follower(history, write.node, write.call_ns, write.return_ns)
            assert (row in found) is certain, (history, row)
            ticks = truth[int(write.node[1])][write.call_ns : write.return_ns + 1]
            assert row not in found or {role for role, _ in ticks} == {"follower"}
            counts[certain] += 1
    assert min(counts.values()) > 100


def test_a_write_around_a_change_of_role_is_not_judged() -> None:
    operations = Operations()
    operations.add(5, 6, 0, "k", "put", "a", node="n1")
    samples = (RoleSample(1, "n1", "follower", 1), RoleSample(9, "n1", "leader", 2))
    result = writes_only_at_leader(History(operations, samples=samples))
    assert result.judged == 0 and result.verdict is None
    assert [left.count for left in result.unjudged] == [1]


def test_two_leaders_in_one_term_are_named() -> None:
    samples = (
        RoleSample(1, "n1", "leader", 4),
        RoleSample(2, "n2", "leader", 4),
        RoleSample(3, "n3", "leader", 5),
        RoleSample(4, "n1", "leader", 4),
        RoleSample(5, "n2", "leader", 4),
    )
    (finding,) = one_leader_per_term(History(Operations(), samples=samples)).findings
    assert finding.message == "n1 and n2 were both leader in term 4"


@pytest.mark.parametrize(
    "second", [RoleSample(4, "n2", "leader", 5), RoleSample(4, "n2", "leader", 4, asked_ns=1)]
)
def test_one_sample_of_a_term_convicts_nobody(second: RoleSample) -> None:
    """Its role may be newer than its term, also in two samples of one moment."""
    samples = (
        RoleSample(1, "n1", "leader", 4),
        RoleSample(3, "n1", "leader", 4),
        RoleSample(2, "n2", "leader", 4, asked_ns=1),
        second,
    )
    result = one_leader_per_term(History(Operations(), samples=samples))
    assert not result.findings and result.judged == 1
    assert UNCONFIRMED in {one.why for one in result.unjudged}


def test_convergence_agrees_with_its_definition() -> None:
    rng, counts = random.Random(19), Counter[bool]()
    for _ in range(500):
        keys, values = ["x", "y"], ["a", "b", None]
        finals = tuple(
            FinalRead(f"n{node}", key, rng.choice(values[: rng.randrange(1, 4)]))
            for node in range(2)
            for key in keys
        )
        log = (
            None
            if rng.random() < 0.5
            else tuple((rng.choice(keys), rng.choice(values)) for _ in range(3))
        )
        store: dict[str, str | None] = {}
        for key, value in log or ():
            store[key] = value
        held = {key: {final.value for final in finals if final.key == key} for key in keys}
        truth = all(
            len(held[key]) == 1 and (log is None or held[key] == {store.get(key)}) for key in keys
        )
        result = converged(History(Operations(), finals=finals, leader_log=log))
        tells = [key for key in keys if held[key] != {None} or (log and key in dict(log))]
        assert bool(result.findings) is not truth and result.judged == len(tells)
        counts[truth] += 1
    assert min(counts.values()) > 25


def test_a_difference_says_who_holds_what() -> None:
    finals = (FinalRead("n1", "k", "a"), FinalRead("n2", "k", None), FinalRead("n3", "k", "a"))
    (finding,) = converged(History(Operations(), finals=finals)).findings
    assert finding.message == "key 'k': 'a' on n1, n3; nothing on n2"


def faulty() -> History:
    operations = Operations()
    operations.add(10, 20, 0, "k", "put", "a", node="n1")
    operations.add(105, 150, 0, "k", "put", "b", outcome="unknown", node="n1")
    operations.add(210, 215, 1, "k", "put", "c", outcome="unknown", node="n1")
    operations.add(230, 240, 2, "k", "put", "d", node="n1")
    operations.add(232, 235, 3, "k", "get", "a", node="n1")
    return History(operations, faults=(FaultSpan("pause", ("n1",), 100, 200),))


def test_an_unanswered_operation_counts_only_outside_faults() -> None:
    result = available(faulty(), settle_ns=5)
    assert [finding.rows for finding in result.findings] == [(2,)]
    assert result.judged == 4
    assert not available(faulty(), settle_ns=20).findings


def test_recovery_runs_from_the_end_of_the_fault_to_the_first_answer() -> None:
    assert recovers(faulty()).measured == {"slowest recovery ms": 40 / 1e6}
    assert not recovers(faulty(), limit_ns=40).findings
    (finding,) = recovers(faulty(), limit_ns=39).findings
    assert finding.message.startswith("after pause n1 had ended, a write was served only")


@pytest.mark.parametrize(
    ("minima", "message"),
    [
        (Minima(before=2), "before pause n1: 1 operation; at least 2 are needed"),
        (Minima(during=2), "during pause n1: 1 operation; at least 2 are needed"),
        (Minima(after=4), "after pause n1: 3 operations; at least 4 are needed"),
        (Minima(reads_of_writes=2), "1 read showed a written value; at least 2 are needed"),
    ],
)
def test_too_little_is_invalid_and_says_what_is_missing(minima: Minima, message: str) -> None:
    result = exercised(faulty(), minima)
    assert result.verdict is Verdict.INVALID
    assert [finding.message for finding in result.findings] == [message]
    assert exercised(faulty()).verdict is Verdict.PASS


def test_nothing_is_asked_for_after_a_fault_that_never_ended() -> None:
    history = faulty()
    (fault,) = history.faults
    for_ever = replace(history, faults=(replace(fault, ended_ns=NEVER),))
    assert exercised(for_ever, Minima(after=100)).verdict is Verdict.PASS
    assert exercised(for_ever, Minima(during=100)).verdict is Verdict.INVALID


def test_invented_refused_and_premature_values_are_named() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "get", "ghost", node="n2")
    operations.add(0, 1, 0, "k", "put", "no", outcome="refused")
    operations.add(2, 3, 0, "k", "get", "no")
    operations.add(4, 5, 0, "k", "get", "early")
    operations.add(6, 7, 0, "k", "put", "early")
    operations.add(8, 9, 0, "k", "get", "early")
    operations.add(8, 9, 0, "k", "get", "old")
    result = read_values_were_written(History(operations, initial={"k": "old"}))
    assert [finding.rows for finding in result.findings] == [(0,), (1, 2), (4, 3)]
    assert result.judged == 5
