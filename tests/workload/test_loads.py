"""Loads against small real servers: the history is what happened, and no outcome is invented."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict

import pytest

from kvsim.checks.consistency.check import check
from kvsim.checks.verdict import Verdict
from kvsim.client.connect import connect
from kvsim.history.binary_file import load
from kvsim.history.history import History
from kvsim.workload.drive import drive
from kvsim.workload.event_loop import EventLoop
from kvsim.workload.plan import LoadPlan
from kvsim.workload.threads import ClientThreads
from kvsim.workload.worker_handle import LoadProcess

GUARANTEES = {"writes": "acked_by_leader", "leader_reads": "linearizable"}


def event_loop(plan: LoadPlan) -> EventLoop:
    clients = [connect(node.program, node.host, node.port, names={}) for node in plan.nodes]
    return EventLoop(plan, clients, lambda: False)


def client_threads(plan: LoadPlan) -> ClientThreads:
    return ClientThreads(plan, lambda: False)


@pytest.fixture(params=[event_loop, client_threads])
def driven(request):
    """A function that drives a plan and returns its operations."""

    def run(plan: LoadPlan):
        driver = request.param(plan)
        driver.run()
        return driver.recorder.operations

    return run


def test_every_request_is_recorded_once(serve, planned, driven):
    server = serve()
    operations = driven(planned(server))
    assert len(operations) == 400 == server.requests
    assert {operation.outcome for operation in operations} == {"ok"}
    assert Counter(operation.kind for operation in operations).keys() == {
        "put",
        "get",
        "delete",
        "delete_missed",
    }


def test_a_correct_store_is_linearizable(serve, planned, driven):
    assert check(History(driven(planned(serve()))), GUARANTEES).verdict is Verdict.PASS


def test_values_are_unique_and_of_one_length(serve, planned, driven):
    values = [operation.value for operation in driven(planned(serve())) if operation.kind == "put"]
    assert len(set(values)) == len(values) and len({len(value) for value in values}) == 1


MIX_WITH_CAS = {"put": 40, "get": 20, "delete": 10, "cas": 30}


@pytest.mark.parametrize("names_value", [True, False])
def test_compare_and_sets_that_match_and_that_miss_are_recorded(
    serve, planned, driven, names_value
):
    operations = driven(planned(serve(names_value=names_value), mix=MIX_WITH_CAS, stop_after=2000))
    counts = Counter(operation.kind for operation in operations)
    assert counts["cas"] > 50 and counts["cas_met" if names_value else "cas_missed"] > 50
    assert {operation.outcome for operation in operations} == {"ok"}
    for operation in operations:
        assert (operation.expected is not None) == operation.kind.startswith("cas")
        assert operation.expected != operation.value or operation.value is None
    assert check(History(operations), GUARANTEES).verdict is Verdict.PASS


def test_a_compare_and_set_that_is_not_atomic_is_found(serve, planned, driven):
    server = serve()
    server.cas = lambda key, size, expected, value: server.put(key, value)
    found = check(History(driven(planned(server, mix=MIX_WITH_CAS, stop_after=2000))), GUARANTEES)
    linearizable = next(item for item in found.checks if item.name == "linearizable")
    assert linearizable.verdict is Verdict.FAIL and "cas" in linearizable.findings[0].message


def test_a_mismatch_that_names_the_expected_value_is_not_a_read_of_it(serve, planned, driven):
    server = serve()
    server.cas = lambda key, size, expected, value: f"MISMATCH {expected}"
    operations = driven(planned(server, mix=MIX_WITH_CAS, clients=1, keys=("a",)))
    assert {operation.kind for operation in operations if operation.expected} == {"cas_missed"}
    assert check(History(operations), GUARANTEES).verdict is Verdict.FAIL


def test_an_unanswered_compare_and_set_is_unknown(serve, planned, driven):
    operations = driven(planned(serve(drops=40), mix=MIX_WITH_CAS, timeout_s=0.1))
    assert {operation.outcome for operation in operations if operation.return_ns is None} == {
        "unknown"
    }
    assert check(History(operations), GUARANTEES).verdict is Verdict.PASS


@pytest.mark.parametrize("fault", ["drops", "disconnects"])
def test_no_reply_is_unknown_and_the_client_continues_under_a_new_number(
    serve, planned, driven, fault
):
    operations = driven(planned(serve(**{fault: 40}), timeout_s=0.1))
    unknown = [operation for operation in operations if operation.outcome == "unknown"]
    assert len(unknown) == 10 and all(operation.return_ns is None for operation in unknown)
    by_process = defaultdict(list)
    for operation in operations:
        by_process[operation.process].append(operation)
    for each in by_process.values():
        each.sort(key=lambda operation: operation.call_ns)
        assert all(operation.outcome != "unknown" for operation in each[:-1])
    assert check(History(operations), GUARANTEES).verdict is Verdict.PASS


def test_one_client_never_has_two_operations_under_way(serve, planned, driven):
    by_process = defaultdict(list)
    for operation in driven(planned(serve(disconnects=50))):
        by_process[operation.process].append((operation.call_ns, operation.return_ns or 1 << 62))
    for spans in by_process.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_refusal_that_names_the_leader_is_followed(serve, planned, driven):
    leader = serve()
    follower = serve(refuses=leader.port)
    operations = driven(planned(follower, leader))
    refused = [operation for operation in operations if operation.outcome == "refused"]
    assert 1 <= len(refused) <= 4 and {operation.node for operation in refused} == {"n1"}
    assert {
        operation.node
        for operation in operations
        if operation.kind == "put" and operation.outcome == "ok"
    } == {"n2"}


def test_without_follow_a_client_stays(serve, planned, driven):
    leader = serve()
    follower = serve(refuses=leader.port)
    operations = driven(planned(follower, leader, follow=False, stop_after=40))
    assert {operation.node for operation in operations} == {"n1"}
    assert {operation.outcome for operation in operations if operation.kind == "put"} == {"refused"}


def test_a_failed_connection_is_no_operation(serve, planned, driven):
    server, gone = serve(), serve()
    gone.close()
    gone.close = lambda: None
    operations = driven(planned(gone, server))
    assert {operation.node for operation in operations} == {"n2"} and {
        operation.outcome for operation in operations
    } == {"ok"}


def test_reads_and_writes_can_go_to_different_nodes(serve, planned, driven):
    leader = serve()
    follower = serve(refuses=leader.port)
    operations = driven(planned(leader, follower, reads_at=("n2",)))
    assert {(operation.node, operation.kind == "get") for operation in operations} == {
        ("n1", False),
        ("n2", True),
    }


def test_the_process_saves_operations_and_role_samples(serve, planned):
    plan = planned(serve(), stop_after=None, sample_every_s=0.001)
    process = LoadProcess(plan)
    counts = process.stop()
    history = load(plan.out)
    assert len(history.operations) == counts["ok"] and "cas" not in counts
    assert all((sample.role, sample.term) == ("leader", 3) for sample in history.samples)
    assert all(sample.asked_ns <= sample.at_ns for sample in history.samples)


def test_a_rate_is_kept(serve, planned):
    plan = planned(serve(), rate=2000, stop_after=200)
    begun_ns = time.monotonic_ns()
    drive(plan, lambda: False)
    calls = load(plan.out).operations.call_ns
    # 200 operations at 2,000 per second take 0.1 s with any server.
    assert (max(calls) - begun_ns) / 1e9 > 0.09


def test_the_error_of_a_broken_process_has_its_reason(planned, serve, tmp_path):
    from kvsim.errors import RunInvalid

    with pytest.raises(RunInvalid, match=r"load w did not finish: .*No such file"):
        process = LoadProcess(planned(serve(), out=tmp_path / "no" / "folder", stop_after=5))
        try:
            process.wait(180)
        finally:
            process.close()


@pytest.mark.parametrize(("reconnect", "at_least"), [(None, 4), (1, 400), (10, 40)])
def test_a_client_opens_another_connection_after_so_many_operations(
    serve, planned, driven, reconnect, at_least
):
    server = serve()
    operations = driven(planned(server, reconnect=reconnect))
    assert {operation.outcome for operation in operations} == {"ok"}
    # Some more: of clients whose connection has just ended, and of what samples roles.
    assert at_least <= len(server.connections) <= at_least + 10
