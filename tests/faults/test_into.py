"""Nodes that are killed while they are at work on a request: the receipt says how long after it was sent, and whether it was in time."""

from __future__ import annotations

from typing import ClassVar

import pytest

from kvsim.client.exchange import Answer, Exchange
from kvsim.faults.into import KillInto
from kvsim.history.outcome import Kind, Outcome, Reason
from kvsim.waiting import Deadline, wait_until

WRITE = "put: {at: leader, key: k, value: v, expect: {any_of: [ok, unknown]}}"


def into(after: str, *steps: str, at: str = "leader") -> str:
    inner = "".join(f"\n      - {step}" for step in steps)
    return f"- fault:\n    kill: {{at: {at}, into: {after}}}\n    do:{inner}\n"


def test_a_leader_is_killed_as_soon_as_the_write_is_sent_and_comes_back(play):
    run = play(into("0ms", WRITE) + "- get: {at: leader, key: k, expect: served}\n")
    assert run.proof["verdict"] == "pass", run.text
    (receipt,) = run.of_kind("fault_receipt")
    assert receipt["bit"] is True
    assert "n1 was killed by SIGKILL; its port refuses connections; killed " in receipt["says"]
    assert receipt["evidence"]["struck_ms"] >= 0
    (plan,) = run.of_kind("fault_plan")
    assert plan["settings"] == {"signal": "KILL", "into_ms": 0.0}
    (end,) = [event for event in run.of_kind("exit") if event["incarnation"] == 1 and event["node"] == "n1"]
    assert end["wanted"] is True
    assert [event["healed"] for event in run.of_kind("fault_end")] == [True]


def test_a_write_that_was_answered_long_before_says_so(play):
    run = play(into("400ms", WRITE))
    assert run.proof["verdict"] == "pass", run.text
    (receipt,) = run.of_kind("fault_receipt")
    assert receipt["evidence"]["into"] is False
    assert receipt["evidence"]["answered_ms"] < receipt["evidence"]["struck_ms"]
    assert "so after it and not into it" in run.text


def test_a_follower_may_be_killed_into_a_write_of_the_leader(play):
    run = play(into("1ms", WRITE, at="n2") + "- get: {at: n2, key: k, expect: served}\n")
    assert run.proof["verdict"] == "pass", run.text
    assert run.of_kind("fault_receipt")[0]["subject"] == "n2"


def test_without_a_request_nobody_is_killed_and_the_run_is_invalid(play):
    steps = into("1ms", "sleep: {for: 1ms, why: nobody asks anything}") + f"- {WRITE}\n"
    run = play(steps)
    assert (run.status, run.proof["verdict"]) == (3, "invalid")
    assert "no request was sent, so n1 was not killed" in run.text
    assert not [
        event for event in run.of_kind("signal") if event["signal"] == "SIGKILL"
    ]  # nor by a later request


class Process:
    """Stands for a process; `alive` until a signal finds it."""

    def __init__(self, alive: bool) -> None:
        self.alive, self.signals = alive, []

    def signal(self, number: int) -> bool:
        self.signals.append(number)
        alive, self.alive = self.alive, False
        return alive


class Victim:
    """The part of a Subject that is asked while a request is under way."""

    name = "n1"
    told: ClassVar[list] = []

    def __init__(self, alive: bool = True) -> None:
        self.process = Process(alive)
        self.told = []

    def tree(self):
        return [self.process]

    def was_killed(self, signal, why):
        self.told.append((signal, why))


def answer(failure: str | None = None, completed_ns: int = 1) -> Answer:
    outcome = Outcome(Kind.UNKNOWN, Reason.RESET) if failure else Outcome(Kind.OK)
    return Answer(Exchange("put", b"x", b"", 0, completed_ns, failure), outcome)


def test_the_signal_comes_while_the_request_waits_for_its_answer():
    victim = Victim()
    fault = KillInto((victim,), 0.001)

    def ask(told):
        told()
        wait_until(lambda: not victim.process.alive, Deadline.after(10), "the signal")
        return answer("reset")

    fault.around(ask)
    assert fault.blow.into and fault.blow.evidence["struck_ms"] >= 1
    assert [signal for signal, _ in victim.told] == ["KILL"]


@pytest.mark.parametrize(
    ("alive", "sent", "said"),
    [
        (False, True, "it had ended by itself by then"),
        (True, False, "the request was not sent, or its client cannot say when"),
    ],
)
def test_a_kill_that_did_not_happen_is_never_told_as_one(alive, sent, said):
    victim = Victim(alive)
    fault = KillInto((victim,), 0.0)
    fault.around(lambda told: (told() if sent else None, answer("unreachable"))[1])
    (receipt,) = fault.end()
    assert receipt.bit is False and said in receipt.says
    assert victim.told == []


def test_a_client_that_fails_ends_the_waiting_hand_too():
    fault = KillInto((Victim(),), 0.0)

    def ask(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fault.around(ask)
    assert not fault.blow.struck
