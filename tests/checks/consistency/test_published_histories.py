"""Histories whose verdict is known from elsewhere: published examples, and the shapes of well-known
failures.

The register examples are those of MIT's 6.824 quiz 2 of 2017 (section VII), which Porcupine tests
itself with; the others are the shape of what Jepsen reported of etcd's and Consul's default reads
(2014) and of Redis fail-over (2013).
"""

from __future__ import annotations

import pytest

from kvsim.checks.consistency.check import check
from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.verdict import Verdict
from kvsim.history.formats import jepsen_edn
from kvsim.history.history import NODE_ENDED, FaultSpan, FinalRead, History, RoleSample
from kvsim.history.operations import Operations

Row = tuple[int, int, int, str, str]

PUBLISHED: dict[str, tuple[list[Row], Verdict]] = {
    "a read of the old value inside the write": (
        [(0, 0, 100, "put", "100"), (1, 25, 75, "get", "100"), (2, 30, 60, "get", "0")],
        Verdict.PASS,
    ),
    "the old value after a client read the new one": (
        [(0, 0, 100, "put", "200"), (1, 10, 30, "get", "200"), (2, 40, 90, "get", "0")],
        Verdict.FAIL,
    ),
    "reads without duration, all fine": (
        [
            (0, 0, 100, "put", "100"),
            (1, 25, 75, "get", "100"),
            (2, 30, 30, "get", "0"),
            (3, 30, 30, "get", "0"),
        ],
        Verdict.PASS,
    ),
    "reads without duration, then the old value": (
        [
            (0, 0, 100, "put", "200"),
            (1, 10, 10, "get", "200"),
            (2, 10, 10, "get", "200"),
            (3, 40, 90, "get", "0"),
        ],
        Verdict.FAIL,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_examples(name: str) -> None:
    rows, verdict = PUBLISHED[name]
    operations = Operations()
    for process, call, back, kind, value in rows:
        operations.add(call, back, process, "register", kind, value)
    assert linearizable(History(operations, initial={"register": "0"})).verdict is verdict


STALE_LEADER = """
{:process 0, :type :invoke, :f :write, :value 1} {:process 0, :type :ok, :f :write, :value 1}
{:process 1, :type :invoke, :f :write, :value 2} {:process 1, :type :ok, :f :write, :value 2}
{:process 2, :type :invoke, :f :read, :value nil} {:process 2, :type :ok, :f :read, :value 1}
"""


def test_a_deposed_leader_that_still_serves_reads() -> None:
    result = linearizable(jepsen_edn.read(STALE_LEADER.splitlines(keepends=True)))
    assert result.verdict is Verdict.FAIL and "stale read" in result.findings[0].message


def failover(writes: str) -> History:
    """An asynchronous leader acknowledges two writes and dies; the replica that takes over has only
    the first.
    """
    operations = Operations()
    operations.add(10, 20, 0, "k", "put", "a", node="n1")
    operations.add(30, 40, 0, "k", "put", "b", node="n1")
    operations.add(210, 220, 1, "k", "get", "a", node="n2")
    samples = (
        RoleSample(5, "n1", "leader"),
        RoleSample(50, "n1", "leader"),
        RoleSample(5, "n2", "follower"),
    )
    samples += (RoleSample(150, "n2", "leader"), RoleSample(300, "n2", "leader"))
    return History(
        operations,
        samples=samples,
        faults=(FaultSpan("kill", ("n1",), 100, 120, NODE_ENDED),),
        finals=(FinalRead("n2", "k", "a"),),
        origin=writes,
    )


def test_an_asynchronous_failover_loses_an_acknowledged_write_and_names_it() -> None:
    report = check(failover("async"), {"writes": "acked_by_leader", "leader_reads": "linearizable"})
    lost = report.result_of("lost_writes")
    assert (
        lost.found == 1
        and lost.measures_only
        and "put('b') by client 0 at n1 is lost" in lost.findings[0].message
    )
    assert report.verdict is Verdict.PASS  # it was never guaranteed to survive that


def test_the_same_loss_breaks_the_guarantee_of_a_majority_write() -> None:
    history = failover("majority")
    third = (RoleSample(5, "n3", "follower"),)
    history = History(
        history.operations,
        samples=history.samples + third,
        faults=history.faults,
        finals=history.finals,
    )
    report = check(history, {"writes": "durable_at_majority", "leader_reads": "linearizable"})
    assert report.verdict is Verdict.FAIL
    assert report.result_of("lost_writes").verdict is Verdict.FAIL
    assert report.result_of("linearizable").verdict is Verdict.FAIL
