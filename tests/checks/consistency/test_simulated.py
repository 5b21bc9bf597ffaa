"""A small simulated cluster, right and with one planted bug each: right ones are never accused,
each bug by its own check.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from kvsim.checks.consistency.check import check
from kvsim.checks.consistency.report import Report, render
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FinalRead, History, RoleSample
from kvsim.history.operations import Operations

GUARANTEES = {
    "writes": "durable_at_leader",
    "leader_reads": "linearizable",
    "follower_reads": "prefix",
}
KEYS = ["a", "b", "c"]
FOLLOWERS = ["n2", "n3"]


class Cluster:
    """A leader whose log followers apply late, one instant an operation; `bug` says what is wrong
    with it.
    """

    def __init__(self, seed: int, bug: str = "", *, deletes: bool = False) -> None:
        self.rng, self.bug, self.deletes = random.Random(seed), bug, deletes
        self.log: list[tuple[str, str | None]] = []
        self.applied = dict.fromkeys(FOLLOWERS, 0)
        self.extra: dict[str, dict[str, str]] = {node: {} for node in FOLLOWERS}
        self.operations, self.now, self.values = Operations(), 0, 0
        self.samples: list[RoleSample] = []

    def store(self, node: str) -> dict[str, str | None]:
        log = self.log[: self.applied.get(node, len(self.log))]
        if self.bug == "applies one key late" and node == "n2":
            log = [write for at, write in enumerate(log) if write[0] != "c" or at < len(log) - 25]
        return {**dict(log), **self.extra.get(node, {})}

    def apply_some(self) -> None:
        for node in FOLLOWERS:
            self.applied[node] = min(len(self.log), self.applied[node] + self.rng.randrange(3))
        if self.bug == "a follower forgets" and len(self.log) > 60 and self.rng.random() < 0.1:
            self.applied["n2"] = max(0, self.applied["n2"] - 40)

    def clients(self) -> Iterator[tuple[int, int]]:
        """(call, return) of overlapping requests, each taking effect when it is made."""
        while True:
            self.now += self.rng.randrange(1, 20)
            yield self.now - self.rng.randrange(40), self.now + self.rng.randrange(40)

    def run(self, count: int) -> Cluster:
        self.sample()
        for number, (call, back) in zip(range(count), self.clients(), strict=False):
            self.apply_some()
            key, process = self.rng.choice(KEYS), self.rng.randrange(1_000_000)
            self.write(call, back, process, key) if number % 2 else self.read(
                call, back, process, key
            )
        self.now += 1_000
        self.sample()
        return self

    def sample(self) -> None:
        at = self.now - 100 if not self.operations else self.now
        for node in ("n1", *FOLLOWERS):
            self.samples.append(RoleSample(at, node, "leader" if node == "n1" else "follower", 1))

    def write(self, call: int, back: int, process: int, key: str) -> None:
        if self.deletes and self.rng.random() < 0.2:
            self.log.append((key, None))
            self.operations.add(call, back, process, key, "delete", node="n1")
            return
        self.values += 1
        value, draw = f"v{self.values}", self.rng.random()
        if self.bug == "a follower accepts" and draw < 0.05:
            self.extra["n2"][key] = value
            self.operations.add(call, back, process, key, "put", value, node="n2")
        elif draw < 0.1:  # no answer; half of them took effect
            if self.rng.random() < 0.5:
                self.log.append((key, value))
            self.operations.add(
                call, None, process, key, "put", value, outcome="unknown", node="n1"
            )
        elif draw < 0.2:  # refused by a follower
            if self.bug == "a refused write is stored" and draw < 0.15:
                self.log.append((key, value))
            self.operations.add(
                call, back, process, key, "put", value, outcome="refused", node="n3"
            )
        else:
            if not (self.bug == "an acknowledged write is lost" and draw > 0.9):
                self.log.append((key, value))
            self.operations.add(call, back, process, key, "put", value, node="n1")

    def read(self, call: int, back: int, process: int, key: str) -> None:
        node = self.rng.choice(["n1", *FOLLOWERS])
        state = self.store(node)
        if self.bug == "the leader serves old values" and node == "n1" and self.rng.random() < 0.2:
            state = dict(self.log[:-12])
        self.operations.add(call, back, process, key, "get", state.get(key), node=node)

    def history(self, *, with_log: bool) -> History:
        self.applied = dict.fromkeys(FOLLOWERS, len(self.log))
        if self.bug == "a replica stays behind":
            self.applied["n3"] -= 30
        finals = [
            FinalRead(node, key, self.store(node).get(key))
            for node in ("n1", *FOLLOWERS)
            for key in KEYS
        ]
        log = tuple(self.log) if with_log else None
        return History(
            self.operations, samples=tuple(self.samples), finals=tuple(finals), leader_log=log
        )


def judged(seed: int, bug: str = "", *, with_log: bool, deletes: bool = False) -> Report:
    return check(
        Cluster(seed, bug, deletes=deletes).run(400).history(with_log=with_log), GUARANTEES
    )


@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize("with_log", [True, False])
def test_a_right_cluster_is_never_accused(with_log: bool, deletes: bool) -> None:
    for seed in range(12):
        report = judged(seed, with_log=with_log, deletes=deletes)
        assert report.verdict is Verdict.PASS, render(report)
        assert (
            report.result_of("prefix").judged > 50 and report.result_of("linearizable").judged > 150
        )


# bug → the checks that see it with the leader's log, and without
BUGS = {
    "a follower accepts": ({"writes_only_at_leader"}, {"writes_only_at_leader"}),
    "a follower forgets": ({"prefix"}, {"prefix"}),
    "applies one key late": ({"prefix"}, set()),
    "an acknowledged write is lost": ({"lost_writes"}, set()),
    "a refused write is stored": ({"read_values_were_written"}, {"read_values_were_written"}),
    "the leader serves old values": ({"linearizable"}, {"linearizable"}),
    "a replica stays behind": ({"converged"}, {"converged"}),
}


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize("with_log", [True, False])
def test_every_bug_is_seen_by_its_check(bug: str, with_log: bool, deletes: bool) -> None:
    wanted = BUGS[bug][0 if with_log else 1]
    failing = [
        {
            result.name
            for result in judged(seed, bug, with_log=with_log, deletes=deletes).checks
            if result.verdict is Verdict.FAIL
        }
        for seed in range(5)
    ]
    assert sum(wanted <= failed for failed in failing) >= 4, failing


def test_asynchronous_followers_lose_read_your_writes_and_that_is_only_told() -> None:
    cluster = Cluster(1)
    cluster.run(400)
    operations = cluster.operations
    operations.process[:] = type(operations.process)(
        "q", [row % 3 for row in range(len(operations))]
    )
    report = check(cluster.history(with_log=True), GUARANTEES)
    assert (
        report.result_of("read_your_writes").found > 0
        and report.result_of("read_your_writes").measures_only
    )
    assert report.verdict is Verdict.PASS
