"""A compare-and-set that met another value is a read of that value, in every check."""

from __future__ import annotations

import pytest

from kvsim.checks.consistency.check import check
from kvsim.checks.consistency.exercised import exercised
from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.consistency.report import to_json
from kvsim.checks.consistency.written_values import read_values_were_written
from kvsim.history.history import History, RoleSample
from kvsim.history.operations import Operations

LEADER, FOLLOWER = RoleSample(0, "n1", "leader", 1), RoleSample(0, "n2", "follower", 1)
LATER = (RoleSample(99, "n1", "leader", 1), RoleSample(99, "n2", "follower", 1))
CHECKS = ("monotonic_reads", "prefix", "sequential", "staleness")


def history(kind: str, *, has_log: bool) -> History:
    """A client sees b at n2, and then a, which b had replaced."""
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a", node="n1")
    operations.add(2, 3, 0, "k", "put", "b", node="n1")
    expected = "x" if kind == "cas_met" else None
    operations.add(4, 5, 1, "k", kind, "b", expected=expected, node="n2")
    operations.add(6, 7, 1, "k", kind, "a", expected=expected, node="n2")
    log = (("k", "a"), ("k", "b")) if has_log else None
    return History(operations, samples=(LEADER, FOLLOWER, *LATER), leader_log=log)


@pytest.mark.parametrize("has_log", [True, False])
@pytest.mark.parametrize("level", ["monotonic_reads", "prefix", "sequential"])
def test_it_is_judged_as_a_read_is(has_log: bool, level: str) -> None:
    guarantees = {"leader_reads": "linearizable", "follower_reads": level}
    reports = [check(history(kind, has_log=has_log), guarantees) for kind in ("get", "cas_met")]
    assert [str(report.verdict) for report in reports] == ["fail", "fail"]
    of_reads, of_met = (to_json(report)["checks"] for report in reports)
    for read, met in zip(of_reads, of_met, strict=True):
        if read["name"] in CHECKS:
            fields = ("verdict", "judged", "found", "measured", "not_judged")
            assert [read[name] for name in fields] == [met[name] for name in fields]


def test_it_can_meet_a_refused_value() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a", outcome="refused")
    operations.add(2, 3, 0, "k", "cas_met", "a", expected="b")
    (finding,) = linearizable(History(operations)).findings
    assert "met 'a'" in finding.message and "refused" in finding.message
    assert read_values_were_written(History(operations)).found == 1


def test_it_shows_a_written_value() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a")
    operations.add(2, 3, 0, "k", "cas_met", "a", expected="b")
    assert exercised(History(operations)).measured == {"reads of written values": 1}
