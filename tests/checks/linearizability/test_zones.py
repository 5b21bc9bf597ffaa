"""The zone decision against the definition: every small history, many random ones, and the quick
deciders against it.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from kvsim.checks.linearizability import decide as key
from kvsim.checks.linearizability import put_get, put_get_numpy, zones
from kvsim.checks.linearizability.certificate import linearize, replays
from kvsim.checks.linearizability.decide import decide_key
from kvsim.checks.linearizability.decision import ViolationReason
from kvsim.checks.linearizability.register import Register, register_of
from kvsim.history.operations import ABSENT, CAS, CAS_MISSED, DELETE, GET, NEVER, PUT
from tests.checks.linearizability.history_builders import (
    MIXES,
    SHAPES,
    disturbed,
    every_register,
    operations_of,
    random_register,
    true_register,
)
from tests.checks.linearizability.oracles import linearizable, linearizable_by_permutations
from tests.checks.linearizability.wing_gong import search

ALL = [shape for shape in SHAPES if shape not in ("miss", "cas absent?")]


def agrees(register: Register, truth: bool) -> None:
    """The decision is the truth, and a yes comes with an order that replays."""
    assert zones.decide(register).linearizable is truth, register
    order = linearize(register)
    assert (isinstance(order, list) and replays(register, order)) is truth, register


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_history_of_up_to_three_operations(count: int) -> None:
    counts: Counter[bool] = Counter()
    for register in every_register(count, ALL):
        truth = linearizable_by_permutations(register)
        agrees(register, truth)
        counts[truth] += 1
    assert counts[True] and counts[False]


@pytest.mark.slow
def test_every_history_of_four_operations_of_the_kinds_around_absent() -> None:
    for register in every_register(4, ["put", "cas absent", "delete", "get absent"]):
        agrees(register, linearizable(register))


@pytest.mark.slow
def test_every_history_of_four_operations() -> None:
    count = 0
    for register in every_register(4, ALL):
        assert zones.decide(register).linearizable is linearizable(register), register
        count += 1
    assert count > 1_000_000


def some_register(rng: random.Random, size: int) -> Register:
    """Random, true, or true with one read changed; up to `size` operations; sometimes with ties."""
    kinds = rng.choice(MIXES)
    if rng.random() < 0.25:
        return random_register(rng, rng.randrange(1, min(size, 6) + 1), kinds)
    mix = dict.fromkeys(kinds, 1.0)
    unknown, ties = rng.choice([0.0, 0.3]), rng.random() < 0.5
    register = true_register(
        rng, rng.randrange(1, size + 1), rng.randrange(1, 6), mix, unknown=unknown, ties=ties
    )
    return disturbed(rng, register) if rng.random() < 0.7 else register


def test_random_histories_against_the_definition() -> None:
    rng = random.Random(1)
    counts: Counter[bool] = Counter()
    for _ in range(3_000):
        register = some_register(rng, 8)
        truth = linearizable(register)
        agrees(register, truth)
        counts[truth] += 1
    assert min(counts[True], counts[False]) > 200


@pytest.mark.slow
def test_many_random_histories_against_the_search() -> None:
    rng = random.Random(20)
    for _ in range(100_000):
        register = some_register(rng, 28)
        agrees(register, search(register).linearizable is True)


def test_a_store_that_is_right_is_never_accused() -> None:
    rng = random.Random(2)
    for _ in range(80):
        mix = dict.fromkeys(rng.choice(MIXES), 1.0)
        register = true_register(
            rng, 300, rng.randrange(2, 40), mix, unknown=rng.choice([0.0, 0.2])
        )
        agrees(register, True)


DECIDERS = [
    "columns",
    pytest.param("numpy", marks=pytest.mark.skipif(not put_get_numpy.numpy(), reason="no numpy")),
]


@pytest.mark.parametrize("which", DECIDERS)
def test_quick_deciders_answer_as_the_zones_do(which: str) -> None:
    decide = put_get.decide if which == "columns" else put_get_numpy.decide
    rng, decided = random.Random(3), Counter[bool]()
    for _ in range(2_000):
        register = some_register(rng, 30)
        operations = operations_of(register)
        quick = decide(operations, register.initial).linearizable
        if {*register.kind} <= {PUT, GET}:
            slow = zones.decide(register_of(operations, register.initial)).linearizable
            assert quick is slow, register
            decided[bool(quick)] += 1
        else:
            assert quick is None
    assert min(decided.values()) > 50


@pytest.mark.parametrize("use_numpy", [False, None])
def test_the_door_agrees_with_the_definition_on_every_kind(use_numpy: bool | None) -> None:
    rng = random.Random(4)
    for _ in range(700):
        kinds = rng.choice([*MIXES, [PUT, GET, CAS, DELETE, CAS_MISSED], [PUT, GET, CAS_MISSED]])
        register = true_register(
            rng, rng.randrange(1, 8), 4, dict.fromkeys(kinds, 1.0), unknown=0.2
        )
        register = disturbed(rng, register)
        truth = linearizable(register)
        for certify in (False, True):
            result = decide_key(
                operations_of(register), register.initial, certify=certify, use_numpy=use_numpy
            )
            assert result.decision.linearizable is truth, register
            assert result.order is not None or not (certify and truth and result.method != "search")


@pytest.mark.parametrize("mix", [[PUT, GET], [PUT, GET, DELETE]])
def test_an_order_that_does_not_replay_is_no_yes(
    mix: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = operations_of(true_register(random.Random(21), 20, 3, dict.fromkeys(mix, 1.0)))
    assert decide_key(operations, certify=True).decision.linearizable is True
    monkeypatch.setattr(key, "replays", lambda register, order, join=None: False)
    decision = decide_key(operations, certify=True).decision
    assert decision.linearizable is None and decision.reason is ViolationReason.UNPROVEN


def made(*rows: tuple[int, int, int, int, int], initial: int = ABSENT) -> Register:
    register = Register(initial=initial)
    for index, row in enumerate(rows):
        register.add(*row, index)
    return register


VIOLATIONS = {
    ViolationReason.NEVER_WRITTEN: made((0, 1, GET, 7, 0)),
    ViolationReason.READ_TOO_EARLY: made((0, 1, GET, 1, 0), (2, 3, PUT, 1, 0)),
    ViolationReason.OVERLAP: made(
        (0, 1, PUT, 1, 0),
        (0, 1, PUT, 2, 0),
        (2, 3, GET, 1, 0),
        (4, 5, GET, 2, 0),
        (6, 7, GET, 1, 0),
    ),
    ViolationReason.SWALLOWED: made((0, 1, PUT, 1, 0), (2, 3, PUT, 2, 0), (4, 5, GET, 1, 0)),
    ViolationReason.CAS_FROM_NOWHERE: made((0, 1, CAS, 1, 5)),
    ViolationReason.CONSUMED_TWICE: made((0, 1, PUT, 1, 0), (2, 3, CAS, 2, 1), (2, 3, CAS, 3, 1)),
    ViolationReason.CAS_TOO_EARLY: made((0, 1, CAS, 2, 1), (2, 3, PUT, 1, 0)),
    ViolationReason.CAS_CYCLE: made((0, 9, CAS, 2, 1), (0, 9, CAS, 1, 2)),
    ViolationReason.ABSENT_INSIDE: made(
        (0, 1, PUT, 1, 0), (2, 3, GET, ABSENT, 0), (4, 5, GET, 1, 0)
    ),
    ViolationReason.DELETE_INSIDE: made(
        (0, 1, PUT, 1, 0), (2, 3, DELETE, ABSENT, 0), (4, 5, GET, 1, 0)
    ),
    ViolationReason.ABSENT_UNEXPLAINED: made((0, 1, PUT, 1, 0), (2, 3, GET, ABSENT, 0)),
    ViolationReason.CAS_UNEXPLAINED: made((0, 1, PUT, 1, 0), (2, 3, CAS, 2, ABSENT)),
}


@pytest.mark.parametrize("reason", VIOLATIONS, ids=lambda reason: reason.name)
def test_each_violation_is_called_by_its_name(reason: ViolationReason) -> None:
    assert zones.decide(VIOLATIONS[reason]).reason is reason


def test_ties_count_as_overlap() -> None:
    assert zones.decide(made((0, 1, PUT, 1, 0), (1, 2, GET, ABSENT, 0))).linearizable
    assert not zones.decide(made((0, 1, PUT, 1, 0), (2, 2, GET, ABSENT, 0))).linearizable


def test_an_unknown_write_may_take_effect_late_or_never() -> None:
    late = made((0, NEVER, PUT, 1, 0), (5, 6, GET, ABSENT, 0), (100, 101, GET, 1, 0))
    never = made((0, NEVER, PUT, 1, 0), (5, 6, GET, ABSENT, 0))
    gone = made((0, NEVER, PUT, 1, 0), (5, 6, GET, 1, 0), (100, 101, GET, ABSENT, 0))
    assert [zones.decide(one).linearizable for one in (late, never, gone)] == [True, True, False]


@pytest.mark.parametrize(
    ("register", "reason"),
    [
        (made((0, 1, PUT, 1, 0), (2, 3, PUT, 1, 0)), ViolationReason.WRITTEN_TWICE),
        (made((0, 1, PUT, 5, 0), initial=5), ViolationReason.WRITTEN_TWICE),
        (made((0, 1, CAS, ABSENT, 1)), ViolationReason.WRITES_ABSENT),
    ],
)
def test_outside_its_class_it_does_not_speak(register: Register, reason: ViolationReason) -> None:
    decision = zones.decide(register)
    assert decision.linearizable is None and decision.reason is reason


def test_a_replay_rejects_what_is_not_an_order() -> None:
    register = made((0, 1, PUT, 1, 0), (2, 3, PUT, 2, 0), (4, 5, GET, 2, 0))
    assert replays(register, [0, 1, 2])
    assert not replays(register, [1, 0, 2])  # against real time
    assert not replays(register, [0, 1])  # an answered operation is missing
    assert not replays(register, [0, 1, 1, 2])  # one of them twice
    assert not replays(made((0, 9, PUT, 1, 0), (0, 9, GET, 1, 0)), [1, 0])  # not legal on the state
