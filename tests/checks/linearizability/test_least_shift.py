"""The least shift of reads that makes a key linearizable, against a search that asks the zones."""

from __future__ import annotations

import random
from collections import Counter

from kvsim.checks.consistency.staleness import delta_ns
from kvsim.checks.linearizability.decision import Decision
from kvsim.checks.linearizability.least_shift import least_shift_ns
from kvsim.checks.linearizability.register import register_of
from kvsim.history.operations import DELETE, GET, OK, PUT
from tests.checks.linearizability.history_builders import (
    disturbed,
    operations_of,
    random_register,
    true_register,
)


def test_it_equals_the_search_over_shifts() -> None:
    rng, counts = random.Random(41), Counter[str]()
    for _ in range(1_200):
        if rng.random() < 0.4:
            register = random_register(rng, rng.randrange(1, 9), [PUT, GET, GET], ties=True)
        else:
            weights = {PUT: 1.0, GET: 1.0}
            register = true_register(
                rng, rng.randrange(2, 30), 4, weights, unknown=0.2, ties=rng.random() < 0.5
            )
            late = rng.randrange(1, 1 + max(register.call, default=1) // 2 + 1)
            for at, kind in enumerate(register.kind):
                if kind == GET and rng.random() < 0.5:
                    register.call[at] += late
                    register.until[at] += late
            if rng.random() < 0.2:
                register = disturbed(rng, register)
        operations = operations_of(register)
        found = least_shift_ns(operations, register.initial)
        assert found == delta_ns(register_of(operations, register.initial)), register
        counts["none" if found is None else "fresh" if found == 0 else "late"] += 1
    assert min(counts.values()) > 50, counts


def test_keys_with_other_kinds_are_left_to_the_zones() -> None:
    register = true_register(random.Random(1), 5, 2, {DELETE: 1.0})
    operations = operations_of(register)
    assert operations.outcome[0] == OK
    assert isinstance(least_shift_ns(operations), Decision)
