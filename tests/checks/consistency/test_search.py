"""The search against the definition on what the zones cannot decide, and what it says when its budget is
spent.
"""

from __future__ import annotations

import random
from collections import Counter

from kvsim.checks.consistency.linear.key import decide_key, joiner
from kvsim.checks.consistency.linear.register import Register, register_of
from kvsim.checks.consistency.linear.ruling import Reason
from kvsim.checks.consistency.linear.search import Budget, search
from kvsim.history.operations import ABSENT, CAS, CAS_MISSED, DELETE, GET, PUT, Operations
from tests.checks.consistency.makers import MIXES, disturbed, random_register, true_register
from tests.checks.consistency.oracles import linearizable


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
    rng, seen = random.Random(6), Counter[bool]()
    for number in range(5_000):
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
        assert search(register).linearizable is truth, register
        seen[truth] += 1
    assert min(seen.values()) > 500


def hard_register() -> Register:
    """Duplicate values, twenty clients at once, and one read of a value that nobody wrote any more."""
    rng = random.Random(7)
    register = few_values(rng, true_register(rng, 600, 20, {PUT: 1.0, GET: 1.0}), 6)
    last = max(register.until)
    register.add(last + 1, last + 2, PUT, 1, 0, 600)
    register.add(last + 3, last + 4, GET, 2, 0, 601)
    return register


def test_a_spent_budget_is_undecided_and_never_ok() -> None:
    ruling = search(hard_register(), Budget(seconds=60.0, configurations=200))
    assert ruling.linearizable is None and ruling.reason is Reason.BUDGET


def test_appends_are_judged_by_the_search() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "append", "x")
    operations.add(2, 9, 1, "k", "append", "y")
    operations.add(2, 9, 2, "k", "append", "z")
    operations.add(10, 11, 0, "k", "get", "xzy")
    assert decide_key(operations).ruling.linearizable is True
    operations.add(12, 13, 0, "k", "get", "xyz")
    answer = decide_key(operations)
    assert (answer.ruling.linearizable, answer.method) == (False, "search")
    assert search(register_of(operations), join=joiner(operations)).linearizable is False


def test_a_miss_that_says_nothing_else_is_placed_or_refuted() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a")
    operations.add(2, 3, 1, "k", "cas_missed", "z", expected="b")
    operations.add(4, 5, 0, "k", "get", "a")
    assert decide_key(operations).ruling.linearizable is True
    operations.add(2, 3, 2, "k", "cas_missed", "y", expected="a")
    answer = decide_key(operations)
    assert answer.ruling.reason is Reason.MISS_INSIDE and answer.method == "zones"
