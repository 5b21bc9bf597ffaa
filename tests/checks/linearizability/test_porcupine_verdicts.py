"""3,000 random histories of all kinds with the verdicts of Porcupine 1.x (a register model)."""

from __future__ import annotations

import functools
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.consistency.result import Violation
from kvsim.checks.linearizability.decide import decide_key
from kvsim.checks.linearizability.effects import Join
from kvsim.checks.linearizability.minimal_violation import find_minimal_violation
from kvsim.checks.linearizability.register import register_of
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, CAS, CAS_MISSED, GET, Operations
from tests.checks.linearizability.oracles import linearizable as linearizable_by_force

# One history a line: `ops` are [call, return or null, client, key, kind, value, expected, outcome].
DATA = Path(__file__).parents[2] / "data" / "random-3000.jsonl.gz"
READABLE_OPERATIONS = 8

Judged = tuple[History, bool]


@functools.cache
def judged() -> list[Judged]:
    with gzip.open(DATA, "rt") as lines:
        return [judged_line(line) for line in lines]


def judged_line(line: str) -> Judged:
    entry = json.loads(line)
    operations = Operations()
    for call, back, client, key, kind, value, expected, outcome in entry["ops"]:
        operations.add(call, back, client, key, kind, value, expected=expected, outcome=outcome)
    initial = {} if entry["initial"] is None else {"k": entry["initial"]}
    return History(operations, initial=initial), entry["porcupine"] == "Ok"


def test_no_verdict_differs_and_none_is_undecided() -> None:
    counts: Counter[bool] = Counter()
    for history, truth in judged():
        operations = history.operations
        result = decide_key(operations, history.initial_number(0), certify=True)
        assert result.decision.linearizable is truth, list(operations)
        assert (result.order is not None) is truth
        counts[truth] += 1
    assert counts == {True: 2413, False: 587}


def explain_all(histories: list[Judged]) -> None:
    """Each violation is explained by a few operations, which brute force finds contradictory."""
    sizes: Counter[int] = Counter()
    for history, truth in histories:
        if truth:
            continue
        operations, initial = history.operations, history.initial_number(0)
        decision = decide_key(operations, initial).decision
        register, join = register_of(operations, initial), Join(operations.values)
        minimal = find_minimal_violation(register, decision, join)
        sizes[len(minimal.at)] += 1
        assert minimal.at and minimal.minimal
        assert not linearizable_by_force(register.subset(minimal.at), join), list(operations)
        assert minimal.blocked in minimal.at
        assert register.kind[minimal.blocked] in (GET, CAS, CAS_MISSED)
        check_message(history)
    readable = sum(count for size, count in sizes.items() if size <= READABLE_OPERATIONS)
    assert readable >= 0.95 * sizes.total()


def check_message(history: History) -> None:
    (finding,) = linearizable(history).findings
    assert isinstance(finding, Violation) and finding.rows and finding.timeline
    if "no client wrote" in finding.message:
        operations = history.operations
        value = operations.value[finding.rows[0]]
        assert value not in (ABSENT, history.initial_number(0))
        assert not any(
            operations.value[row] == value
            for row in range(len(operations))
            if operations.operation(row).kind in ("put", "cas", "append")
            and operations.operation(row).outcome != "refused"
        )


def test_violations_are_explained_by_a_few_operations() -> None:
    explain_all(judged()[::5])


@pytest.mark.slow
def test_all_violations_are_explained_by_a_few_operations() -> None:
    explain_all(judged())
