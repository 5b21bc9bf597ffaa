"""A test of the tests of inferred orders: small mistakes in them must change an answer. The answers themselves
are held against every order in `test_all_keys` and `test_without_log`.
"""

from __future__ import annotations

import random
import types

import pytest

from kvsim.checks.consistency import clusters, inferred, precedence, together
from kvsim.history.history import History
from tests.checks.consistency.test_all_keys import played
from tests.checks.consistency.test_mutants import mutated

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
        together,
        "while returns[returned[done]] < calls[row]:",
        "while done < len(returned) and returns[returned[done]] < calls[row] + 3:",
    ),
    "overlapping writes have an order": (
        together,
        "if self.seen[row].over_ns < floor_ns:",
        "if self.seen[row].over_ns <= floor_ns + 1:",
    ),
    "a client's own writes do not bind": (together, "elif rule.writes_raise and", "elif False and"),
    "a client's reads do not bind": (together, "elif rule.reads_raise and", "elif False and"),
    "a merged value forgets what was reached in it": (
        precedence,
        "            if raises:\n                graph.edge(node, here)\n            else:\n                graph.edge(here, node)\n"
        "        if current",
        "            if not raises:\n                graph.edge(here, node)\n        if current",
    ),
    "a chain has no links": (precedence, "if 0 <= before != here:", "if False:"),
    "time says nothing": (precedence, "    _add_time(quick, writes)\n", ""),
}


def answers(history: History, leader_reads: list[int], watched: list[int]) -> dict[str, bool]:
    rows = range(len(history.operations))
    found = inferred.by_key(history, watched, rows, leader_reads)
    return {name: bool(one.findings) for name, one in found.items()}


@pytest.fixture(scope="module")
def judged() -> list[tuple[History, list[int], list[int], dict[str, bool]]]:
    rng = random.Random(31)
    made = [played(rng, deletes=number % 2 == 0) for number in range(8_000)]
    return [(*one, answers(one[0], one[1], one[2])) for one in made]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_in_an_inferred_order_shows(mutant: str, judged, monkeypatch) -> None:
    module, before, after = MUTANTS[mutant]
    changed: types.ModuleType = mutated(module, before, after)
    for name in ("writes_of", "circle", "Nodes", "lapses_of_session"):
        if hasattr(changed, name) and hasattr(inferred, name) and hasattr(module, name):
            monkeypatch.setattr(inferred, name, getattr(changed, name))
    assert any(wrong(*one) for one in judged)


def wrong(history: History, leader_reads: list[int], watched: list[int], truth: dict[str, bool]) -> bool:
    """True also when the mutant falls over."""
    try:
        return answers(history, leader_reads, watched) != truth
    except (IndexError, KeyError, AttributeError, NameError):
        return True
