"""The search against the definition on what the zones cannot decide, and what it says when its
budget is spent.
"""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from kvsim.checks.linearizability.budget import Budget
from kvsim.checks.linearizability.certificate import replays
from kvsim.checks.linearizability.decide import decide_key
from kvsim.checks.linearizability.decision import ViolationReason
from kvsim.checks.linearizability.local_contradiction import find_local_contradiction
from kvsim.checks.linearizability.register import Register
from kvsim.checks.linearizability.search import search
from kvsim.history.operations import (
    ABSENT,
    CAS,
    CAS_MISSED,
    DELETE,
    GET,
    NEVER,
    PUT,
    Operations,
)
from tests.checks.linearizability import wing_gong
from tests.checks.linearizability.history_builders import (
    MIXES,
    disturbed,
    operations_of,
    random_register,
    true_register,
)
from tests.checks.linearizability.oracles import linearizable


def few_values(rng: random.Random, register: Register, values: int) -> Register:
    """The same history with its values folded onto a few: written many times."""
    folded = register.subset(range(len(register)))
    folded.value = [
        value if kind == DELETE else value % values
        for value, kind in zip(register.value, register.kind, strict=True)
    ]
    folded.kind = [
        DELETE if kind == PUT and value == ABSENT else kind
        for kind, value in zip(register.kind, folded.value, strict=True)
    ]
    folded.expected = [value % values for value in register.expected]
    folded.initial = register.initial % values
    return folded


def test_the_search_agrees_with_the_definition() -> None:
    rng, counts = random.Random(6), Counter[bool]()
    for number in range(3_000):
        kinds = rng.choice([*MIXES, [PUT, GET, DELETE, CAS, CAS_MISSED]])
        if number % 4:
            size, clients, unknown = rng.randrange(1, 9), rng.randrange(1, 6), rng.choice([0, 0.3])
            register = true_register(rng, size, clients, dict.fromkeys(kinds, 1.0), unknown=unknown)
            register = disturbed(rng, register) if number % 2 else register
        else:
            register = random_register(rng, rng.randrange(1, 7), kinds)
        if number % 3:
            register = few_values(rng, register, 3)
        truth = linearizable(register)
        agrees(register, truth)
        counts[truth] += 1
    assert min(counts.values()) > 300


def agrees(register: Register, truth: bool, optional: frozenset[int] = frozenset()) -> None:
    """Both ways to search find the truth, and a "yes" comes with an order that replays."""
    for lookahead in (True, False):
        result = search(register, None, None, optional, lookahead=lookahead)
        assert result.found is truth, register
        if not optional:
            assert truth is (result.found and replays(register, result.order)), register


@pytest.mark.slow
def test_the_search_agrees_with_another_search_on_longer_histories() -> None:
    rng, counts = random.Random(60), Counter[bool]()
    for number in range(20_000):
        kinds = rng.choice([*MIXES, [PUT, GET, DELETE, CAS, CAS_MISSED], [PUT, GET, CAS_MISSED]])
        size, clients, unknown = rng.randrange(5, 40), rng.randrange(1, 7), rng.choice([0, 0.3])
        mix, ties = dict.fromkeys(kinds, 1.0), number % 4 == 0
        register = true_register(rng, size, clients, mix, unknown=unknown, ties=ties)
        register = disturbed(rng, register) if number % 2 else register
        register = few_values(rng, register, rng.choice([2, 3, 4])) if number % 3 else register
        truth = wing_gong.search(register, Budget(seconds=5)).linearizable
        if truth is not None:
            agrees(register, truth)
            counts[truth] += 1
    assert min(counts.values()) > 2_000


def test_what_is_optional_may_be_left_out_or_happen_in_its_time() -> None:
    rng, counts = random.Random(16), Counter[bool]()
    for _ in range(1_500):
        register = random_register(rng, rng.randrange(1, 7), rng.choice(MIXES))
        register = few_values(rng, register, 3)
        writes = [at for at, kind in enumerate(register.kind) if kind != GET]
        optional = frozenset(at for at in writes if rng.random() < 0.5)
        truth = linearizable(register, optional=optional)
        agrees(register, truth, optional)
        counts[truth] += 1
    assert min(counts.values()) > 300


def test_what_is_blocked_is_the_first_return_before_which_no_order_is_possible() -> None:
    rng, blocked = random.Random(26), 0
    for _ in range(600):
        mix = dict.fromkeys(rng.choice(MIXES), 1.0)
        register = few_values(rng, true_register(rng, rng.randrange(3, 10), 4, mix), 3)
        register = disturbed(rng, register)
        result = search(register, lookahead=False)
        if result.found:
            continue
        assert result.blocked is not None
        blocked += 1
        end = register.until[result.blocked]
        assert not linearizable(until(register, end)), register
        assert linearizable(until(register, end - 1)), register
        prefix = until(register, end - 1)
        order = [at for at in result.order if prefix.kind[at] == register.kind[at]]
        assert replays(prefix, order)
    assert blocked > 30


def until(register: Register, end: int) -> Register:
    """What had been called by `end`, at the same positions; what had not returned is unknown."""
    prefix = register.subset(range(len(register)))
    for at, (call, back) in enumerate(zip(register.call, register.until, strict=True)):
        if back > end and register.kind[at] == GET:
            # A read that changes nothing: of the value that it is called with.
            prefix.kind[at], prefix.value[at] = PUT, 1_000_000 + at
        if back > end:
            prefix.until[at] = NEVER
        if call > end:
            prefix.call[at] = NEVER - 1
    return prefix


def hard_register() -> Register:
    """Duplicate values, twenty clients at once, and a read of a value that no write explains."""
    rng = random.Random(7)
    register = few_values(rng, true_register(rng, 600, 20, {PUT: 1.0, GET: 1.0}), 6)
    last = max(register.until)
    register.add(last + 1, last + 2, PUT, 1, 0, 600)
    register.add(last + 3, last + 4, GET, 2, 0, 601)
    return register


def test_a_spent_budget_is_undecided_and_never_ok() -> None:
    result = search(hard_register(), Budget(seconds=60.0, configurations=20).meter())
    assert result.found is None
    meter = Budget(seconds=0.0).meter()
    decision = decide_key(operations_of(hard_register()), meter=meter).decision
    assert decision.linearizable is None and decision.reason is ViolationReason.BUDGET


def test_a_stale_read_after_many_writes_of_few_values_is_found() -> None:
    """In a short stretch: the search over all orders takes much longer."""
    began = time.process_time()
    decision = decide_key(operations_of(hard_register())).decision
    assert decision.linearizable is False and decision.at == (601,)
    assert time.process_time() - began < 2.0


def test_a_contradiction_in_a_stretch_is_one_of_the_whole() -> None:
    rng, counts, found = random.Random(46), Counter[bool](), 0
    for _ in range(150):
        mix = dict.fromkeys(rng.choice([*MIXES, [PUT, GET, CAS, CAS_MISSED]]), 1.0)
        register = true_register(rng, rng.randrange(20, 70), 4, mix, unknown=0.1)
        register = disturbed(rng, few_values(rng, register, 4))
        truth = search(register).found
        counts[bool(truth)] += 1
        blocked = find_local_contradiction(register, Budget().meter())
        found += blocked is not None
        assert not (truth and blocked is not None), register
    assert min(counts.values()) > 20 and found > 20


@pytest.mark.parametrize("clients", [5, 20, 50])
def test_many_clients_that_write_few_values_are_decided(clients: int) -> None:
    rng = random.Random(8)
    register = few_values(rng, true_register(rng, 1_000, clients, {PUT: 1.0, GET: 1.0}), 6)
    began = time.process_time()
    result = decide_key(operations_of(register), register.initial)
    assert (result.decision.linearizable, result.method) == (True, "search")
    assert time.process_time() - began < 1.0


def test_many_failed_compare_and_sets_are_decided() -> None:
    mix = {PUT: 1.0, GET: 1.0, CAS_MISSED: 2.0}
    register = true_register(random.Random(9), 1_000, 50, mix, unknown=0.1)
    result = search(register)
    assert result.found and replays(register, result.order)


def test_a_miss_that_says_nothing_else_is_placed_or_refuted() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a")
    operations.add(2, 3, 1, "k", "cas_missed", "z", expected="b")
    operations.add(4, 5, 0, "k", "get", "a")
    assert decide_key(operations).decision.linearizable is True
    operations.add(2, 3, 2, "k", "cas_missed", "y", expected="a")
    result = decide_key(operations)
    assert result.decision.reason is ViolationReason.FAILED_CAS_INSIDE and result.method == "zones"
