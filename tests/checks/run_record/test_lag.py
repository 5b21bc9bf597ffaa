"""The cluster's `lag`: a follower shows what the leader acknowledged in time, or never."""

from __future__ import annotations

import pytest

from kvsim.checks.registry import apply
from kvsim.checks.verdict import Verdict
from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.history.run_record import RunRecord
from tests.checks.run_record.run_builder import RunBuilder
from tests.checks.run_record.test_run_record import ABSENT, NEW, OK, OLD

LAG_S = 0.01


class LaggingRun(RunBuilder):
    """A run of a cluster with a lag; `later` lets it pass."""

    def __init__(self, follower: str, **plan: object) -> None:
        super().__init__(**plan)
        self.follower = follower

    def later(self) -> LaggingRun:
        for _ in range(round(LAG_S * 1000) + 2):
            self.add("limit")
        return self

    def record(self) -> RunRecord:
        record = super().record()
        lag = {"follower": self.follower, "within_s": LAG_S}
        return RunRecord({**record.meta, "lag": lag}, self.events, self.logs)


def written(follower: str = "must", **plan: object) -> LaggingRun:
    run = LaggingRun(follower, **plan)
    run.up()
    run.request("n1", "put", OK)
    return run


def verdict(run: LaggingRun, name: str = "lag_is_kept") -> Verdict | None:
    return next(one.verdict for one in apply(run.record()) if one.name == name)


def read(run: LaggingRun, n1: Outcome, n2: Outcome) -> LaggingRun:
    run.read_back({"n1": n1, "n2": n2, "n3": NEW}, "after")
    return run


def test_a_follower_that_has_it_in_time_keeps_the_lag() -> None:
    assert verdict(read(read(written(), NEW, ABSENT), NEW, NEW)) is Verdict.PASS


def test_a_follower_that_lacks_it_when_the_time_is_over_does_not() -> None:
    assert verdict(read(written().later(), NEW, OLD)) is Verdict.FAIL


def test_a_read_before_the_time_is_over_accuses_no_follower() -> None:
    run = written()
    run.read_back({"n1": NEW, "n2": ABSENT}, "after")
    assert verdict(run) is None


def test_what_the_leader_lost_is_no_lag_of_a_follower() -> None:
    run = written().later()
    run.read_back({"n1": ABSENT, "n2": ABSENT}, "after")
    assert verdict(run) is None


def test_a_write_that_another_one_replaced_is_not_awaited() -> None:
    run = written()
    run.request("n1", "put", OK, value="newer").read_back({"n1": NEW, "n2": OLD}, "after")
    assert verdict(run) is None


@pytest.mark.parametrize("broken", ["n1", "n2"])
def test_the_lag_counts_from_the_end_of_a_fault(broken: str) -> None:
    run = written()
    plan = {"fault": "pause", "nodes": [broken], "settings": {}, "required": True}
    run.add("fault_plan", id="1.1", **plan).add("fault_begin", id="1.1")
    read(run.later(), NEW, OLD)
    run.add("fault_end", id="1.1", recovered=True, messages=[])
    assert verdict(read(run, NEW, OLD)) is not Verdict.FAIL
    assert verdict(read(run.later(), NEW, OLD)) is Verdict.FAIL


def test_a_follower_that_was_started_again_has_the_lag_once_more() -> None:
    run = written().later()
    run.logs["n2", 2] = "starting as FOLLOWER"
    run.add("ready", node="n2", incarnation=2, probes={})
    assert verdict(read(run, NEW, ABSENT)) is not Verdict.FAIL


def test_another_leader_is_not_held_to_the_writes_of_the_former_one() -> None:
    run = written().later()
    run.report_roles(n1="follower", n2="leader")
    run.read_back({"n1": NEW, "n3": ABSENT}, "after")
    assert verdict(run) is None


def test_without_a_known_leader_every_other_node_must_have_it() -> None:
    run = LaggingRun("must")
    run.request("n2", "put", OK).read_back({"n2": NEW, "n3": NEW}, "after")
    assert verdict(run) is Verdict.PASS
    run.later().read_back({"n1": ABSENT, "n2": NEW}, "after")
    assert verdict(run) is Verdict.FAIL


@pytest.mark.parametrize(("shown", "expected"), [(NEW, Verdict.FAIL), (ABSENT, Verdict.PASS)])
def test_never_is_never(shown: Outcome, expected: Verdict) -> None:
    run = written("never")
    run.read_back({"n1": NEW, "n2": shown, "n3": ABSENT}, "after")
    assert verdict(run) is expected


def test_may_judges_nothing() -> None:
    assert verdict(read(written("may").later(), NEW, ABSENT)) is None


def at_follower(after: dict[str, Outcome], *, late: bool) -> LaggingRun:
    """A program that forwards: n2 accepts, and the nodes are read within the lag or after it."""
    run = LaggingRun("may", capabilities=["forwards"])
    run.up()
    before = dict.fromkeys(after, ABSENT)
    run.read_back(before, "before").request("n2", "put", OK)
    if late:
        run.later()
    run.read_back(after, "after")
    return run


def test_an_accepted_write_is_lost_only_when_the_lag_is_over() -> None:
    nowhere = {"n1": ABSENT, "n2": ABSENT, "n3": ABSENT}
    assert verdict(at_follower(nowhere, late=False), "writes_only_at_leader") is Verdict.PASS
    assert verdict(at_follower(nowhere, late=True), "writes_only_at_leader") is Verdict.FAIL


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"n1": NEW, "n2": NEW, "n3": NEW}, Verdict.PASS),
        ({"n1": NEW, "n2": ABSENT, "n3": ABSENT}, None),
        ({"n1": ABSENT, "n2": NEW, "n3": ABSENT}, None),
        ({"n1": ABSENT, "n2": ABSENT, "n3": ABSENT}, Verdict.FAIL),
        (
            {"n1": Outcome(OutcomeKind.OK, value="old", found=True), "n2": ABSENT, "n3": NEW},
            None,
        ),
    ],
)
def test_where_nothing_says_who_leads_only_everywhere_and_nowhere_are_judged(
    after: dict[str, Outcome], expected: Verdict | None
) -> None:
    run = LaggingRun("may")
    run.read_back(dict.fromkeys(after, ABSENT), "before").request("n1", "put", OK)
    run.later().read_back(after, "after")
    assert verdict(run, "writes_only_at_leader") is expected
