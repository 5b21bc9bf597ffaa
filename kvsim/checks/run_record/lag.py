"""A check of the cluster's `lag`: when a follower shows what the leader acknowledged."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from kvsim.checks.expectations import describe
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.verdict import Finding
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import RequestRecord, RunRecord


@run_check(
    "A follower shows what the leader acknowledged as the cluster's `lag` says: in time, or never",
    order=125,
)
def lag_is_kept(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every write that a leader acknowledged, on each follower that was read afterwards,
    until the next write of its key. `must`: a read that began after the lag shows the write. The
    lag counts from the end of what kept the follower away: a fault on it or on the leader, or its
    start. `never`: no read shows the write's value. `may`: nothing is judged.
    """
    judge = {"must": _shown_in_time, "never": _never_shown}.get(record.lag)
    if judge is None:
        return 0, []
    results = [
        (write, node, result)
        for write, leader in _acknowledged(record)
        for node in record.nodes
        if node != leader and (result := judge(record, _Observed(record, write, leader, node)))
    ]
    return len(results), [
        Finding(result.problem, write.step, node)
        for write, node, result in results
        if result.problem
    ]


class _Result(Struct, frozen=True):
    """Of one write on one follower. `problem` is empty when the lag was kept."""

    problem: str = ""


class _Observed(Struct, frozen=True):
    """One acknowledged write, the leader that has it, and a follower.

    Where nothing says which node leads, the node that accepted it counts as the leader.
    """

    record: RunRecord
    write: RequestRecord
    leader: str
    follower: str

    @property
    def request(self) -> str:
        write = self.write
        return f"`{write.verb} {write.key}{f' {write.value}' if write.value else ''}`"

    def readings(self, node: str) -> Iterator[RequestRecord]:
        """The answered gets of its key on a node until the next write, while the leader led."""
        role = self.record.role_at(self.leader, self.write.invoked_s)
        operations = self.record.operations
        for request in operations[operations.index(self.write) + 1 :]:
            if request.key != self.write.key:
                continue
            if request.is_write:
                return
            same_role = self.record.role_at(self.leader, request.invoked_s) == role
            answered = request.verb == "get" and request.outcome.kind is OutcomeKind.OK
            if request.node == node and same_role and answered:
                yield request

    def shown(self, reading: RequestRecord) -> bool:
        return reading.outcome.value == self.write.value

    def due_s(self, reading: RequestRecord) -> float | None:
        """The time from which the follower must show the write; None: a fault lasts."""
        nodes = {self.leader, self.follower}
        faults = [fault for fault in self.record.faults if nodes & set(fault.nodes)]
        if any(fault.lasted(reading.invoked_s, reading.completed_s) for fault in faults):
            return None
        ends = [fault.ended_s for fault in faults if fault.ended_s is not None]
        starts = [
            event.at_s for event in self.record.of_kind("ready") if event["node"] == self.follower
        ]
        before = [at_s for at_s in (*ends, *starts) if at_s <= reading.invoked_s]
        return max([self.write.completed_s, *before]) + self.record.lag_within_s


def _acknowledged(record: RunRecord) -> Iterator[tuple[RequestRecord, str]]:
    """Every write that was accepted at a leader, or that its program forwarded to one."""
    for write in record.writes:
        if not write.outcome.done:
            continue
        leader = record.leader_at(write.invoked_s)
        if leader is None and record.role_at(write.node, write.invoked_s) is None:
            leader = write.node
        if leader and (write.node == leader or "forwards" in record.capabilities(write.node)):
            yield write, leader


def _shown_in_time(record: RunRecord, observed: _Observed) -> _Result | None:
    """None: no read can tell."""
    # What the leader itself does not show is judged by `acknowledged_writes_are_read`.
    if not all(map(observed.shown, observed.readings(observed.leader))):
        return None
    for reading in observed.readings(observed.follower):
        if observed.shown(reading):
            return _Result()
        due_s = observed.due_s(reading)
        if due_s is not None and reading.invoked_s >= due_s:
            after_s = reading.invoked_s - observed.write.completed_s
            return _Result(
                f"{observed.leader} acknowledged {observed.request}, and {after_s:.3g}s later "
                f"{observed.follower} showed {describe(reading.outcome)}; it must have it within "
                f"{record.lag_within_s:g}s (`lag`)"
            )
    return None


def _never_shown(record: RunRecord, observed: _Observed) -> _Result | None:
    """None: no read can tell. A delete shows nothing."""
    readings = list(observed.readings(observed.follower))
    role = record.role_at(observed.follower, observed.write.completed_s)
    if observed.write.value is None or not readings or role != "follower":
        return None
    if not any(map(observed.shown, readings)):
        return _Result()
    return _Result(
        f"{observed.leader} acknowledged {observed.request}, and {observed.follower} showed it; "
        "a follower must never have it (`lag`)"
    )
