"""A node that does not answer in time: slow, silent, or kept from running. Starts no process."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kvsim.client.exchange import Exchange, Request, Response
from kvsim.config.program import Speak
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord
from kvsim.runner.unanswered import RunWatch, SilenceWatch

OK = Outcome(OutcomeKind.OK)
TIMEOUT = Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT)
PUT, GET = Request("put", {"key": "k", "value": "v"}), Request("get", {"key": "k"})


class Node(SimpleNamespace):
    """What is asked of a node: whether it is up, and its program."""

    def tree(self, known: list[Any]) -> list[Any]:
        return []


class Bench:
    """Three nodes, a client whose answers are written, and the events of the journal."""

    def __init__(
        self, answer: Outcome, *, after_s: float = 0.0, capabilities: str = "", speak: Any = None
    ) -> None:
        program = SimpleNamespace(
            name="store",
            ready=SimpleNamespace(all_of=()),
            requests={"get": "", "put": ""},
            capabilities={capabilities},
            speak=Speak("lines", speak or {}),
        )
        self.nodes = {
            name: Node(up=True, incarnation=1, known=[], program=program)
            for name in ("n1", "n2", "n3")
        }
        self.answer, self.after_s = answer, after_s
        self.asked: list[tuple[str, float]] = []
        self.events: list[dict[str, Any]] = []
        self.silence = SilenceWatch(self, self, 0.01)  # type: ignore[arg-type]

    def connect(self, name: str) -> Bench:
        return self

    def ask(self, request: Request, timeout_s: float) -> Response:
        self.asked.append((request.verb, timeout_s))
        threading.Event().wait(self.after_s)
        failure = "timeout" if self.answer is TIMEOUT else None
        return Response(Exchange(request.verb, b"x", b"", 0, 0, failure), self.answer)

    def close(self) -> bytes:
        return b""

    def write(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})

    def look(
        self, request: Request, outcome: Outcome = TIMEOUT, sent: bytes = b"sent", got: bytes = b""
    ) -> list[dict[str, Any]]:
        self.silence.look_again("n1", request, _record(request, outcome, sent, got))
        return self.events


def _record(
    request: Request, outcome: Outcome, sent: bytes = b"sent", got: bytes = b""
) -> RequestRecord:
    key = request.fields.get("key")
    return RequestRecord(
        9, "1", "step", "n1", 1, request.verb, key, None, sent, got, 0.0, 1.0, "", outcome
    )


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the kernel says of the time between two looks."""
    said = {"kept": ""}
    monkeypatch.setattr(RunWatch, "kept_from_running", lambda self, now: said["kept"])
    return said


@pytest.mark.parametrize(
    ("speak", "sent", "got", "silent"),
    [
        ({"until": "^END"}, b"sent", b"VALUE 1\n", False),
        ({"greeting": "^HELLO"}, b"", b"", False),
        ({"reply_line_end": "crlf"}, b"sent", b"OK\n", False),
        ({"line_end": "crlf"}, b"sent", b"OK\n", False),
        ({"line_end": "crlf"}, b"sent", b"", True),
        ({"until": "^END"}, b"sent", b"", True),
        # A part of a line: the protocol itself says where it ends.
        ({}, b"sent", b"VAL", True),
    ],
)
def test_what_node_yaml_describes_and_did_not_come_is_no_silence(speak, sent, got, silent):
    bench = Bench(TIMEOUT, speak=speak)
    assert bool(bench.look(GET, sent=sent, got=got)) is silent


def test_a_line_without_its_end_is_silence_where_others_had_it():
    bench = Bench(TIMEOUT, speak={"line_end": "crlf"})
    bench.silence.look_again("n2", GET, _record(GET, OK))
    assert bench.look(GET, sent=b"sent", got=b"OK\n")


@pytest.mark.parametrize("request_", [GET, PUT])
def test_a_silent_node_is_asked_once_more_and_never_with_a_write(request_):
    bench = Bench(TIMEOUT)
    (event,) = bench.look(request_)
    assert bench.asked == [("get", pytest.approx(0.05))]
    assert (event["kind"], event["request"], event["kept_from_running"]) == ("silent", 9, "")


@pytest.mark.parametrize(("kept", "again"), [("", 0), ("the node: it waited 4 of 5s", 1)])
def test_a_busy_machine_proves_no_silence_and_is_looked_at_again(machine, kept, again):
    machine["kept"] = kept
    bench = Bench(TIMEOUT)
    assert bench.look(GET)[0]["kept_from_running"] == kept
    assert len(bench.look(GET)) == 1 + again


def test_a_node_that_answers_the_second_request_is_slow_and_not_silent():
    assert Bench(OK).look(GET) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda bench: bench.nodes["n1"].__setattr__("up", False),
        lambda bench: bench.silence.nodes_with_faults.append("n1"),
    ],
)
def test_a_node_that_is_down_or_has_a_fault_is_not_asked(change):
    bench = Bench(TIMEOUT)
    change(bench)
    assert bench.look(GET) == []
    assert bench.asked == []


def test_an_answer_needs_no_second_look():
    bench = Bench(TIMEOUT)
    bench.look(GET, OK)
    assert bench.asked == []


def test_the_connection_of_a_write_is_held_and_its_reply_then_comes_too_late():
    bench = Bench(OK, after_s=0.05)
    assert bench.silence.holds("n1", PUT)
    client: Any = bench
    response, watch = bench.silence.ask_and_hold("n1", client, PUT, 0.01)
    assert bench.asked == [("put", pytest.approx(0.06))]
    assert response.outcome.reason is Reason.TIMEOUT
    assert "it came after" in response.outcome.detail
    assert watch is None


def test_a_write_that_is_answered_in_time_is_as_it_is():
    client: Any = Bench(OK)
    response, watch = client.silence.ask_and_hold("n1", client, PUT, 5.0)
    assert (response.outcome, watch) == (OK, None)


def test_a_write_that_is_never_answered_breaks_it_without_a_second_request():
    client: Any = Bench(TIMEOUT, after_s=0.05)
    response, watch = client.silence.ask_and_hold("n1", client, PUT, 0.01)
    client.silence.look_again("n1", PUT, _record(PUT, response.outcome), watch)
    assert [verb for verb, _ in client.asked] == ["put"]
    assert "on the same connection" in client.events[0]["asked"]


@pytest.mark.parametrize("why", ["elects", "down", "started again", "a fault", "after a fault"])
def test_a_write_that_may_wait_for_other_nodes_is_not_held(why):
    bench = Bench(OK, capabilities=why)
    bench.nodes["n2"].up = why != "down"
    bench.nodes["n2"].incarnation = 2 if why == "started again" else 1
    bench.silence.nodes_with_faults = ["n2"] if why == "a fault" else []
    bench.silence.disturbed = why == "after a fault"
    assert not bench.silence.holds("n1", PUT)


def test_reads_are_not_held():
    assert not Bench(OK).silence.holds("n1", GET)
