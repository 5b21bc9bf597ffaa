"""A compare-and-set that was told which value it met is judged as a read of that value, and is
named as what it was.
"""

from __future__ import annotations

import pytest

from kvsim.checks.consistency.check import check
from kvsim.checks.verdict import Verdict
from kvsim.history.history import History, RoleSample
from kvsim.history.operations import Operations

GUARANTEES = {"writes": "acked_by_leader", "leader_reads": "linearizable"}


def judged(met: str | None, kind: str = "cas_met") -> dict[str, object]:
    """Check name → its answer on: put a, put b, then a compare-and-set from a that met `met`."""
    operations = Operations()
    operations.add(0, 1, 1, "k", "put", "a", node="n1")
    operations.add(2, 3, 1, "k", "put", "b", node="n1")
    operations.add(4, 5, 2, "k", kind, met, expected="x", node="n1")
    return {one.name: one for one in check(History(operations), GUARANTEES).checks}


def test_what_is_current_may_be_met():
    assert judged("b")["linearizable"].verdict is Verdict.PASS


@pytest.mark.parametrize("met", ["a", None, "nobody's"])
def test_what_is_not_current_may_not(met):
    found = judged(met)["linearizable"]
    assert found.verdict is Verdict.FAIL and "cas('x' → …) → met" in found.findings[0].message


def test_a_value_that_was_not_written_is_a_violation():
    assert judged("nobody's")["read_values_were_written"].verdict is Verdict.FAIL
    assert judged("b")["read_values_were_written"].verdict is Verdict.PASS


def test_one_that_was_not_told_only_says_what_it_did_not_meet():
    assert judged("new", "cas_missed")["linearizable"].verdict is Verdict.PASS


def test_it_binds_a_client_as_a_read_does():
    """n2 shows b to a compare-and-set and then a to a read: a follower that went back, whoever
    asked how.
    """
    operations = Operations()
    operations.add(0, 1, 1, "k", "put", "a", node="n1")
    operations.add(2, 3, 1, "k", "put", "b", node="n1")
    operations.add(4, 5, 2, "k", "cas_met", "b", expected="x", node="n2")
    operations.add(6, 7, 2, "k", "get", "a", node="n2")
    history = History(operations, samples=tuple(RoleSample(at, "n1", "leader") for at in (0, 9)))
    found = check(history, {**GUARANTEES, "follower_reads": "prefix"})
    assert next(one for one in found.checks if one.name == "prefix").verdict is Verdict.FAIL
