"""A test of the tests of inferred orders: small mistakes in them must change an answer. The answers
themselves are held against every order in `test_all_keys` and `test_without_log`.
"""

from __future__ import annotations

import random
import types

import pytest

from kvsim.checks.consistency.inferred import clusters, cross_key, infer, precedence_graph
from kvsim.history.history import History
from kvsim.history.operations import Operations
from tests.checks.consistency.test_cross_key import played
from tests.checks.linearizability.test_mutants import mutated

MUTANTS = {
    "what returned at the same time came after": (
        clusters,
        "bisect_right(calls, self.first[value])",
        "bisect_left(calls, self.first[value])",
    ),
    "deletes overwrite nothing": (clusters, "for row in self.deletes:", "for row in ():"),
    "a leader's read does not narrow when a value was there": (
        clusters,
        "first[value] = min(first[value], operations.return_ns[row])",
        "pass",
    ),
    "a leader's read does not widen how long a value was there": (
        clusters,
        "last[value] = max(last[value], operations.call_ns[row])",
        "pass",
    ),
    "a read may be held against one that overlaps it": (
        cross_key,
        "while returns[returned[done]] < calls[row]:",
        "while done < len(returned) and returns[returned[done]] < calls[row] + 3:",
    ),
    "overlapping writes have an order": (
        cross_key,
        "if self.values[row].overwritten_ns < floor_ns:",
        "if self.values[row].overwritten_ns <= floor_ns + 1:",
    ),
    "a client's own writes do not bind": (
        cross_key,
        "elif rule.writes_raise and _raises(",
        "elif False and _raises(",
    ),
    "a client's reads do not bind": (cross_key, "elif rule.reads_raise and", "elif False and"),
    "a merged value forgets what was reached in it": (
        precedence_graph,
        "            if raises:\n                graph.add_edge(node, link)\n            else:\n"
        "                graph.add_edge(link, node)\n        if current",
        "            if not raises:\n"
        "                graph.add_edge(link, node)\n        if current",
    ),
    "a chain has no links": (precedence_graph, "if 0 <= before != link:", "if False:"),
    "time says nothing": (precedence_graph, "    _add_time(merged, clusters)\n", ""),
}


def results(history: History, leader_reads: list[int], watched: list[int]) -> dict[str, bool]:
    rows = range(len(history.operations))
    found = infer.infer(history, watched, rows, leader_reads)
    return {name: bool(one.findings) for name, one in found.items()}


def deleted_value_shown() -> tuple[History, list[int], list[int]]:
    """A follower shows a value although it has shown a write that came after the value's delete."""
    operations = Operations()
    operations.add(0, 1, 0, "x", "put", "x1", node="n1")
    operations.add(2, 3, 0, "x", "delete", node="n1")
    operations.add(4, 5, 0, "y", "put", "y1", node="n1")
    operations.add(6, 7, 1, "y", "get", "y1", node="n2")
    operations.add(8, 9, 1, "x", "get", "x1", node="n2")
    return History(operations), [], [3, 4]


@pytest.fixture(scope="module")
def judged() -> list[tuple[History, list[int], list[int], dict[str, bool]]]:
    rng = random.Random(0)
    cases = [played(rng, deletes=number % 2 == 0) for number in range(1_000)]
    return [(*case, results(*case)) for case in [*cases, deleted_value_shown()]]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_in_an_inferred_order_shows(mutant: str, judged, monkeypatch) -> None:
    module, before, after = MUTANTS[mutant]
    changed: types.ModuleType = mutated(module, before, after)
    for name in ("clusters_of", "find_cycle", "NodeSweep", "missed_by_session"):
        if hasattr(changed, name) and hasattr(infer, name) and hasattr(module, name):
            monkeypatch.setattr(infer, name, getattr(changed, name))
    assert any(wrong(*one) for one in judged)


def wrong(
    history: History, leader_reads: list[int], watched: list[int], truth: dict[str, bool]
) -> bool:
    """True also when the mutant falls over."""
    try:
        return results(history, leader_reads, watched) != truth
    except (IndexError, KeyError, AttributeError, NameError):
        return True
