"""Nodes are killed during a request: the evidence shows when, and whether the answer came first."""

from __future__ import annotations

import pytest

from kvsim.client.exchange import Exchange, Response
from kvsim.faults.kill_during_request import KillDuringRequest
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.waiting import Deadline, wait_until

WRITE = "put: {at: leader, key: k, value: v, expect: {any_of: [ok, unknown]}}"


def kill_after(delay: str, *steps: str, at: str = "leader") -> str:
    inner = "".join(f"\n      - {step}" for step in steps)
    return f"- fault:\n    kill: {{at: {at}, after_request: {delay}}}\n    do:{inner}\n"


def test_a_leader_is_killed_as_soon_as_the_write_is_sent_and_is_started_again(run_scenario):
    run = run_scenario(kill_after("0ms", WRITE) + "- get: {at: leader, key: k, expect: served}\n")
    assert run.proof["verdict"] == "pass", run.text
    (item,) = run.of_kind("fault_evidence")
    assert item["took_effect"] is True
    assert "n1 was killed by SIGKILL; its port refuses connections; killed " in item["message"]
    assert item["measured"]["kill_ms"] >= 0
    (plan,) = run.of_kind("fault_plan")
    assert plan["settings"] == {"signal": "KILL", "after_request_ms": 0.0}
    (end,) = [
        event
        for event in run.of_kind("exit")
        if event["incarnation"] == 1 and event["node"] == "n1"
    ]
    assert end["requested"] is True
    assert [event["recovered"] for event in run.of_kind("fault_end")] == [True]


def test_a_kill_after_the_answer_is_reported_as_such(run_scenario):
    run = run_scenario(kill_after("400ms", WRITE))
    assert run.proof["verdict"] == "pass", run.text
    (item,) = run.of_kind("fault_evidence")
    assert item["measured"]["in_flight"] is False
    assert item["measured"]["answered_ms"] < item["measured"]["kill_ms"]
    assert "so after the request and not during it" in run.text


def test_a_follower_may_be_killed_during_a_write_to_the_leader(run_scenario):
    run = run_scenario(
        kill_after("1ms", WRITE, at="n2") + "- get: {at: n2, key: k, expect: served}\n"
    )
    assert run.proof["verdict"] == "pass", run.text
    assert run.of_kind("fault_evidence")[0]["subject"] == "n2"


def test_without_a_request_no_node_is_killed_and_the_run_is_invalid(run_scenario):
    steps = kill_after("1ms", "get: {at: n2, key: k, needs: elects}") + f"- {WRITE}\n"
    run = run_scenario(steps)
    assert (run.status, run.proof["verdict"]) == (3, "invalid")
    assert "no request was sent, so n1 was not killed" in run.text
    # A later request does not cause the kill either.
    assert not [event for event in run.of_kind("signal") if event["signal"] == "SIGKILL"]


class Process:
    """A fake process; it is `alive` until it gets a signal."""

    def __init__(self, alive: bool) -> None:
        self.alive, self.signals = alive, []

    def signal(self, number: int) -> bool:
        self.signals.append(number)
        alive, self.alive = self.alive, False
        return alive


class Node:
    """A fake NodeHandle with the part that is used during a request."""

    name = "n1"

    def __init__(self, alive: bool = True) -> None:
        self.process = Process(alive)
        self.recorded = []

    def tree(self):
        return [self.process]

    def expect_end(self):
        pass

    def record_kill(self, signal, why):
        self.recorded.append((signal, why))


def response(failure: str | None = None, completed_ns: int = 1) -> Response:
    outcome = Outcome(OutcomeKind.UNKNOWN, Reason.RESET) if failure else Outcome(OutcomeKind.OK)
    return Response(Exchange("put", b"x", b"", 0, completed_ns, failure), outcome)


def test_the_signal_is_sent_while_the_request_waits_for_its_answer():
    node = Node()
    fault = KillDuringRequest((node,), 0.001)

    def send(sent):
        sent()
        wait_until(lambda: not node.process.alive, Deadline.after(180), "the signal")
        return response("reset")

    fault.wrap(send)
    assert fault.delayed.in_flight and fault.delayed.measured["kill_ms"] >= 1
    assert [signal for signal, _ in node.recorded] == ["KILL"]


@pytest.mark.parametrize(
    ("alive", "is_sent", "message"),
    [
        (False, True, "it had ended by itself by then"),
        (True, False, "the request was not sent, or its client does not report when"),
    ],
)
def test_a_kill_that_did_not_happen_is_not_reported(alive, is_sent, message):
    node = Node(alive)
    fault = KillDuringRequest((node,), 0.0)
    fault.wrap(lambda sent: (sent() if is_sent else None, response("unreachable"))[1])
    (item,) = fault.measure()
    assert item.took_effect is False and message in item.message
    assert node.recorded == []


def test_a_client_that_fails_ends_the_waiting_thread_too():
    fault = KillDuringRequest((Node(),), 0.0)

    def send(sent):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fault.wrap(send)
    assert not fault.delayed.delivered
