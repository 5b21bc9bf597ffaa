"""Loads against small real servers: what is recorded is what happened, and no outcome is better known than it is."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict

import pytest

from kvsim.checks.consistency.judge import check
from kvsim.checks.verdict import Verdict
from kvsim.history.history import History
from kvsim.history.history_file import load
from kvsim.load.child import LoadProcess
from kvsim.load.driving import drive
from kvsim.load.loop import Loop
from kvsim.load.plan import LoadPlan
from kvsim.load.threads import Threads

PROMISES = {"writes": "acked_by_leader", "leader_reads": "linearizable"}


@pytest.fixture(params=[Loop, Threads])
def driven(request):
    """Drive a plan by either driver; its operations, and its samples."""

    def run(plan: LoadPlan):
        driver = request.param(plan, lambda: False)
        driver.run()
        return driver.recorder.operations

    return run


def test_everything_that_was_asked_is_recorded_once(serve, planned, driven):
    server = serve()
    operations = driven(planned(server))
    assert len(operations) == 400 == server.asked
    assert {one.outcome for one in operations} == {"ok"}
    assert Counter(one.kind for one in operations).keys() == {"put", "get", "delete", "delete_missed"}


def test_an_honest_store_is_linearizable(serve, planned, driven):
    assert check(History(driven(planned(serve()))), PROMISES).verdict is Verdict.PASS


def test_every_value_is_written_once_and_all_are_of_one_length(serve, planned, driven):
    values = [one.value for one in driven(planned(serve())) if one.kind == "put"]
    assert len(set(values)) == len(values) and len({len(value) for value in values}) == 1


COMPARES = {"put": 40, "get": 20, "delete": 10, "cas": 30}


@pytest.mark.parametrize("tells", [True, False])
def test_compare_and_sets_are_recorded_as_they_were_answered_and_both_kinds_happen(
    serve, planned, driven, tells
):
    operations = driven(planned(serve(tells=tells), mix=COMPARES, stop_after=2000))
    counts = Counter(one.kind for one in operations)
    assert counts["cas"] > 50 and counts["cas_met" if tells else "cas_missed"] > 50
    assert {one.outcome for one in operations} == {"ok"}
    for one in operations:
        assert (one.expected is not None) == one.kind.startswith("cas")
        assert one.expected != one.value or one.value is None
    assert check(History(operations), PROMISES).verdict is Verdict.PASS


def test_a_compare_and_set_that_is_not_atomic_is_found(serve, planned, driven):
    server = serve()
    server.cas = lambda key, size, expected, value: server.put(key, value)
    found = check(History(driven(planned(server, mix=COMPARES, stop_after=2000))), PROMISES)
    linearizable = next(one for one in found.checks if one.name == "linearizable")
    assert linearizable.verdict is Verdict.FAIL and "cas" in linearizable.findings[0].message


def test_a_mismatch_that_names_the_expected_value_is_not_taken_for_a_read_of_it(serve, planned, driven):
    server = serve()
    server.cas = lambda key, size, expected, value: f"MISMATCH {expected}"
    operations = driven(planned(server, mix=COMPARES, clients=1, keys=("a",)))
    assert {one.kind for one in operations if one.expected} == {"cas_missed"}
    assert check(History(operations), PROMISES).verdict is Verdict.FAIL


def test_an_unanswered_compare_and_set_is_unknown(serve, planned, driven):
    operations = driven(planned(serve(swallows=40), mix=COMPARES, timeout_s=0.1))
    assert {one.outcome for one in operations if one.return_ns is None} == {"unknown"}
    assert check(History(operations), PROMISES).verdict is Verdict.PASS


@pytest.mark.parametrize("how", ["swallows", "hangs_up"])
def test_no_answer_is_unknown_and_the_client_goes_on_as_another(serve, planned, driven, how):
    operations = driven(planned(serve(**{how: 40}), timeout_s=0.1))
    unknown = [one for one in operations if one.outcome == "unknown"]
    assert len(unknown) == 10 and all(one.return_ns is None for one in unknown)
    by_process = defaultdict(list)
    for one in operations:
        by_process[one.process].append(one)
    for each in by_process.values():
        each.sort(key=lambda one: one.call_ns)
        assert all(one.outcome != "unknown" for one in each[:-1])
    assert check(History(operations), PROMISES).verdict is Verdict.PASS


def test_one_client_never_has_two_operations_under_way(serve, planned, driven):
    by_process = defaultdict(list)
    for one in driven(planned(serve(hangs_up=50))):
        by_process[one.process].append((one.call_ns, one.return_ns or 1 << 62))
    for spans in by_process.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_refusal_that_names_the_leader_is_followed(serve, planned, driven):
    leader = serve()
    follower = serve(refuses=leader.port)
    operations = driven(planned(follower, leader))
    refused = [one for one in operations if one.outcome == "refused"]
    assert 1 <= len(refused) <= 4 and {one.node for one in refused} == {"n1"}
    assert {one.node for one in operations if one.kind == "put" and one.outcome == "ok"} == {"n2"}


def test_without_following_a_client_stays(serve, planned, driven):
    leader = serve()
    follower = serve(refuses=leader.port)
    operations = driven(planned(follower, leader, follow=False, stop_after=40))
    assert {one.node for one in operations} == {"n1"}
    assert {one.outcome for one in operations if one.kind == "put"} == {"refused"}


def test_nobody_there_is_no_operation(serve, planned, driven):
    server, gone = serve(), serve()
    gone.close()
    gone.close = lambda: None
    operations = driven(planned(gone, server))
    assert {one.node for one in operations} == {"n2"} and {one.outcome for one in operations} == {"ok"}


def test_reads_may_go_elsewhere_than_writes(serve, planned, driven):
    leader = serve()
    follower = serve(refuses=leader.port)
    operations = driven(planned(leader, follower, reads_at=("n2",)))
    assert {(one.node, one.kind == "get") for one in operations} == {("n1", False), ("n2", True)}


def test_the_process_saves_what_it_recorded_and_who_said_what(serve, planned):
    plan = planned(serve(), stop_after=None, sample_every_s=0.001)
    process = LoadProcess(plan)
    counts = process.stop()
    history = load(plan.out)
    assert len(history.operations) == counts["ok"] and "cas" not in counts
    assert all((one.role, one.epoch) == ("leader", 3) for one in history.samples)
    assert all(one.asked_ns <= one.at_ns for one in history.samples)


def test_a_rate_is_kept(serve, planned):
    plan = planned(serve(), rate=2000, stop_after=200)
    begun_ns = time.monotonic_ns()
    drive(plan, lambda: False)
    calls = load(plan.out).operations.call_ns
    assert (
        max(calls) - begun_ns
    ) / 1e9 > 0.09  # 200 at 2,000 a second take no less, however fast the server is


def test_a_process_that_breaks_says_why(planned, serve, tmp_path):
    from kvsim.errors import RunInvalid

    with pytest.raises(RunInvalid, match=r"load w did not finish: .*No such file"):
        process = LoadProcess(planned(serve(), out=tmp_path / "no" / "folder", stop_after=5))
        try:
            process.wait(30)
        finally:
            process.close()
