"""All keys in one pass, with numpy, against the deciders of one key: the same keys get a "yes"."""

from __future__ import annotations

import random
from array import array
from collections import Counter

import pytest

from kvsim.checks.linearizability import all_keys_numpy, zones
from kvsim.checks.linearizability.register import Register, register_of
from kvsim.history.numpy_module import numpy
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    CAS,
    CAS_MET,
    CAS_MISSED,
    DELETE_MISSED,
    GET,
    NEVER,
    PUT,
    REFUSED,
    Operations,
    StringTable,
)
from tests.checks.linearizability.history_builders import (
    INITIAL,
    MIXES,
    SHAPES,
    disturbed,
    every_register,
    operations_of,
    random_register,
    true_register,
)

pytestmark = pytest.mark.skipif(numpy() is None, reason="numpy is not installed")
COLUMNS = ("call_ns", "return_ns", "process", "node", "kind", "value", "expected", "outcome")


def side_by_side(parts: list[Operations], rng: random.Random) -> Operations:
    """The operations of several keys in one history, their rows mixed."""
    whole = Operations(values=StringTable(max((p.values.strings for p in parts), key=len)))
    rows = [(number, row) for number, part in enumerate(parts) for row in range(len(part))]
    rng.shuffle(rows)
    for number in range(len(parts)):
        whole.keys.number(f"k{number}")
    for number, row in rows:
        for name in COLUMNS:
            getattr(whole, name).append(getattr(parts[number], name)[row])
        whole.key.append(number)
    return whole


def with_other_kinds(
    operations: Operations, rng: random.Random, appends: float = 0.0
) -> Operations:
    """Some operations refused, some reads by other kinds than get, and a share of appends."""
    for row in range(len(operations)):
        kind = operations.kind[row]
        if kind == GET and rng.random() < 0.2:
            missed = operations.value[row] == ABSENT
            operations.kind[row] = DELETE_MISSED if missed else CAS_MET
        if rng.random() < 0.05 and operations.return_ns[row] != NEVER:
            operations.outcome[row] = REFUSED
        if rng.random() < appends:
            operations.kind[row] = APPEND
    return operations


def some_register(rng: random.Random) -> Register:
    mix = rng.choice([*MIXES, [PUT, GET, CAS_MISSED], [PUT, CAS, CAS, CAS, GET]])
    draw = rng.random()
    if draw < 0.4:
        return random_register(rng, rng.randrange(1, 9), mix, ties=rng.random() < 0.5)
    weights = {kind: 1.0 + 3.0 * rng.random() for kind in mix}
    register = true_register(
        rng,
        rng.randrange(1, 40),
        rng.choice([1, 2, 4, 8]),
        weights,
        unknown=rng.choice([0.0, 0.3]),
        ties=rng.random() < 0.5,
    )
    return disturbed(rng, register) if draw < 0.7 else register


def check_against_single_keys(operations: Operations, initial: dict[int, int]) -> Counter[bool]:
    answers = all_keys_numpy.one_copy_keys(operations, initial)
    counts = Counter[bool]()
    for key, rows in operations.rows_by_key().items():
        register = register_of(operations.of_key(key, rows), initial.get(key, ABSENT))
        truth = zones.decide(register).linearizable is True
        assert answers[key] == truth, register
        counts[truth] += 1
    return counts


@pytest.mark.parametrize("times", ["short", "long"])
def test_random_keys_side_by_side(times: str) -> None:
    rng, counts = random.Random(5), Counter[bool]()
    for _ in range(60):
        registers = [some_register(rng) for _ in range(rng.randrange(1, 30))]
        parts = [with_other_kinds(operations_of(register), rng, 0.005) for register in registers]
        operations = side_by_side(parts, rng)
        if times == "long":
            # Too long for one axis: the ranks of times are used.
            for name in ("call_ns", "return_ns"):
                column = getattr(operations, name)
                column[:] = array("q", [min(NEVER, (t - 20) << 36) for t in column])
        initial = {
            number: register.initial
            for number, register in enumerate(registers)
            if register.initial != ABSENT
        }
        counts += check_against_single_keys(operations, initial)
    assert min(counts.values()) > 150


def test_values_that_no_two_keys_share() -> None:
    rng, counts = random.Random(6), Counter[bool]()
    for _ in range(60):
        parts = [operations_of(some_register(rng)) for _ in range(rng.randrange(1, 20))]
        operations = side_by_side(parts, rng)
        operations.values.strings += [f"w{n}" for n in range(len(parts) * (INITIAL + 1))]
        for row, key in enumerate(operations.key):
            for column in (operations.value, operations.expected):
                if column[row] != ABSENT:
                    column[row] += key * (INITIAL + 1)
        counts += check_against_single_keys(operations, {})
    assert min(counts.values()) > 100


def test_every_small_history_as_a_key_of_its_own() -> None:
    rng = random.Random(7)
    shapes = [shape for shape in SHAPES if shape != "miss"]
    for count in (1, 2):
        registers = list(every_register(count, shapes))
        operations = side_by_side([operations_of(register) for register in registers], rng)
        initial = {n: r.initial for n, r in enumerate(registers) if r.initial != ABSENT}
        counts = check_against_single_keys(operations, initial)
        assert counts[True] and counts[False]


def test_compare_and_sets_in_a_cycle_and_in_a_long_chain() -> None:
    """A chain of links is followed in steps that double, which must not close a circle."""
    for length in (1, 2, 3, 4, 7, 8, 9):
        cycle, chain = Register(), Register()
        for number in range(length):
            cycle.add(number, 99, CAS, number + 1, (number + 1) % length + 1, number)
            chain.add(2 * number, 2 * number + 1, CAS, number + 1, number, number)
        operations = side_by_side([*map(operations_of, (cycle, chain))], random.Random(length))
        assert all_keys_numpy.one_copy_keys(operations, {}) == b"\0\1"


def test_no_operations() -> None:
    assert all_keys_numpy.one_copy_keys(Operations(), {}) == b""
