"""What follows from "linearizable as one copy" is not computed again: it equals what is computed
without that knowledge, on random histories of which some keys are linearizable and some are not.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest
from msgspec.structs import replace

from kvsim.checks.consistency import case as cases
from kvsim.checks.consistency import linearizable
from kvsim.checks.consistency.case import CheckOptions, HistoryCase
from kvsim.checks.consistency.check import CHECKS
from kvsim.checks.consistency.guarantees import complete_guarantees
from kvsim.checks.consistency.result import ConsistencyResult, Violation
from kvsim.history.history import FaultSpan, FaultTraits, History, RoleSample
from kvsim.history.numpy_module import numpy
from kvsim.history.operations import GET, NEVER, Operations
from tests.checks.linearizability.history_builders import operations_of
from tests.checks.linearizability.test_all_keys import (
    side_by_side,
    some_register,
    with_other_kinds,
)

NODES = ("n1", "n2", "n3")
LEVELS = ("none", "prefix", "sequential", "linearizable")


def with_clients_and_nodes(operations: Operations, rng: random.Random) -> Operations:
    """The rows by client and node. Few clients make requests at once; reads are on any node."""
    nodes = [operations.nodes.number(name) for name in NODES]
    free: dict[int, int] = {}
    for row in sorted(range(len(operations)), key=operations.call_ns.__getitem__):
        process = next(
            (p for p, until in free.items() if until < operations.call_ns[row]), len(free)
        )
        if rng.random() < 0.01:
            process = rng.randrange(3)
        free[process] = max(operations.return_ns[row], free.get(process, 0))
        operations.process[row] = process
        is_read = operations.kind[row] == GET
        operations.node[row] = rng.choice([*nodes, -1]) if is_read else nodes[0]
    return operations


def some_history(rng: random.Random) -> History:
    """Several keys, some with an initial value, on three nodes or on one, with and without roles,
    with a node that was killed.
    """
    registers = [some_register(rng) for _ in range(rng.randrange(1, 5))]
    parts = [with_other_kinds(operations_of(register), rng) for register in registers]
    operations = side_by_side(parts, rng)
    if rng.random() < 0.8:
        operations = with_clients_and_nodes(operations, rng)
    # In the order of calls, as most histories are, or in none.
    if rng.random() < 0.5:
        order = sorted(range(len(operations)), key=operations.call_ns.__getitem__)
        operations = replace(operations.select(order), rows=None)
    end_ns = max((t for t in operations.return_ns if t != NEVER), default=100)
    roles = rng.choice([(), ("leader", "follower", "follower"), ("leader", "leader", "follower")])
    samples = tuple(
        RoleSample(at, node, role, 1)
        for node, role in zip(NODES, roles, strict=False)
        for at in (-1, rng.choice([end_ns + 1, end_ns // 2]))
    )
    ends = FaultTraits(ends_nodes="always")
    killed = FaultSpan("kill", ("n2",), end_ns // 3, end_ns // 2, ends)
    return History(
        operations,
        samples=samples,
        faults=(killed,) if rng.random() < 0.3 else (),
        initial={
            f"k{number}": operations.values[register.initial] or ""
            for number, register in enumerate(registers)
            if register.initial
        },
    )


def results(case: HistoryCase) -> dict[str, ConsistencyResult]:
    return {name: check.judge(case) for name, check in CHECKS.items()}


def comparable(result: ConsistencyResult) -> ConsistencyResult:
    """Without the names of the deciders, and which of several reasons each names first."""
    if result.name != "linearizable":
        return result
    findings = tuple(
        Violation("", key=finding.key, verdict=finding.verdict)
        for finding in result.findings
        if isinstance(finding, Violation)
    )
    return replace(result, measured={}, findings=findings)


def nothing_implied(*args: object, **options: object) -> bytes:
    return b""


@pytest.mark.parametrize("use_numpy", [False, True])
def test_what_is_implied_equals_what_is_computed(
    use_numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if use_numpy and numpy() is None:
        pytest.skip("numpy is not installed")
    monkeypatch.setattr(linearizable, "KEYS_EXPLAINED_MAX", 0)
    rng, counts = random.Random(31), Counter[str]()
    for _ in range(80):
        history = some_history(rng)
        guarantees = complete_guarantees(
            {"leader_reads": "linearizable", "follower_reads": rng.choice(LEVELS)}
        )
        options = CheckOptions(certify=False, use_numpy=use_numpy)
        case = HistoryCase(history, guarantees, options)
        implied = results(case)
        counts["all" if all(case.one_copy) else "some" if any(case.one_copy) else "none"] += 1
        with monkeypatch.context() as patch:
            patch.setattr(cases, "one_copy_keys", nothing_implied)
            direct = HistoryCase(history, guarantees, replace(options, use_numpy=False))
            patch.setattr(HistoryCase, "proved_keys", None)
            computed = results(direct)
        for name, result in implied.items():
            assert comparable(result) == comparable(computed[name]), name
            counts[name] += bool(result.judged)
            counts[f"{name} found"] += result.found
    assert min(counts["all"], counts["some"], counts["none"]) > 8, counts
    for name in ("linearizable", "read_values_were_written", "prefix", "sequential", "staleness"):
        assert counts[name] > 30, counts
    for name in ("linearizable", "read_values_were_written", "sequential"):
        assert counts[f"{name} found"] > 5, counts


def test_a_case_splits_reads_by_the_role_of_each() -> None:
    rng = random.Random(33)
    counts = Counter[bool]()
    for _ in range(60):
        history = some_history(rng)
        guarantees = complete_guarantees({"leader_reads": "linearizable"})
        case = HistoryCase(history, guarantees, CheckOptions())
        leader, follower = set(case.leader_rows), set(case.follower_rows)
        operations = history.operations
        for row in range(len(operations)):
            operation = operations.operation(row)
            is_read = operation.kind in ("get", "delete_missed", "cas_met")
            if case.one_store or not is_read:
                assert row in leader and row not in follower
                continue
            period = case.roles.covering(
                operation.node, operations.call_ns[row], operations.return_ns[row]
            )
            by_leader = period is not None and period.role == "leader"
            answered = operation.outcome == "ok"
            assert (row in leader, row in follower) == (
                answered and by_leader,
                answered and not by_leader,
            )
            counts[by_leader] += 1
    assert min(counts.values()) > 30


def test_numpy_is_not_imported_for_a_small_history() -> None:
    """Importing it takes longer than judging some thousand operations."""
    code = """
import sys
from kvsim.checks.consistency.check import check
from kvsim.history.history import History
from kvsim.history.operations import Operations
operations = Operations()
for number in range(2_000):
    operations.add(number, number, 0, "k", "put", str(number))
check(History(operations), {"leader_reads": "linearizable"})
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
