"""The lines client against servers that misbehave: every outcome is honest and no reply is taken for
another's.
"""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.client.exchange import Answer, Client, Request
from kvsim.history.outcome import Kind, Outcome, Reason
from tests.client.programs import client, program
from tests.client.servers import answering, lines_of, reset, serving, unused_port

LONG_S = 20.0
SHORT_S = 0.05


def put(to: Client, value: str = "v", timeout_s: float = LONG_S) -> Answer:
    return to.ask(Request("put", {"key": "k", "value": value}), timeout_s)


def get(to: Client, key: str = "k", timeout_s: float = LONG_S) -> Answer:
    return to.ask(Request("get", {"key": key}), timeout_s)


def test_a_good_server_keeps_one_connection():
    replies = {b"PUT k v\n": b"OK\n", b"GET k\n": b"VALUE v w\n", b"GET x\n": b"NOT_FOUND\n"}
    with serving(answering(replies.__getitem__)) as port:
        to = client(port, program())
        first, second, third = put(to), get(to), get(to, "x")
        assert to.close() == b""
    assert first.outcome == Outcome(Kind.OK, detail="b'OK'")
    assert (second.outcome.value, second.outcome.found) == ("v w", True)
    assert (third.outcome.kind, third.outcome.found) == (Kind.OK, False)
    assert first.exchange.connection == third.exchange.connection
    assert first.exchange.connection.endswith(f"-> 127.0.0.1:{port}")
    assert (first.exchange.sent, first.exchange.received) == (b"PUT k v\n", b"OK\n")
    assert first.exchange.invoked_ns < first.exchange.completed_ns <= second.exchange.invoked_ns


def test_a_refusal_names_the_leader_as_written():
    with serving(answering(lambda _: b"ERR read-only, leader is on port 9001\n")) as port:
        to = client(port, program())
        outcome = put(to).outcome
        to.close()
    assert (outcome.kind, outcome.reason, outcome.leader) == (Kind.REFUSED, Reason.READ_ONLY, "9001")


def test_nobody_listening_is_certain():
    to = client(unused_port(), program())
    answer = put(to)
    assert (answer.outcome.kind, answer.outcome.reason) == (Kind.REFUSED, Reason.UNREACHABLE)
    assert answer.exchange.sent == b""
    assert "refused" in answer.exchange.problem


def test_a_server_that_comes_up_later_is_reached_by_the_same_client():
    port = unused_port()
    to = client(port, program())
    assert put(to).outcome.reason is Reason.UNREACHABLE
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            answering(lambda _: b"OK\n")(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    assert put(to).outcome.kind is Kind.OK
    to.close()
    thread.join()
    listener.close()


def test_a_late_reply_is_never_the_next_ones():
    release = threading.Event()

    def late(connection: socket.socket) -> None:
        for line in lines_of(connection):
            if line == b"GET first\n":
                assert release.wait(LONG_S)
                connection.sendall(b"VALUE first\n")
                return
            connection.sendall(b"VALUE second\n")

    with serving(late) as port:
        to = client(port, program())
        first = get(to, "first", SHORT_S)
        release.set()
        second = get(to, "second")
        to.close()
    assert (first.outcome.kind, first.outcome.reason) == (Kind.UNKNOWN, Reason.TIMEOUT)
    assert second.outcome.value == "second"
    assert first.exchange.connection != second.exchange.connection


def test_a_second_answer_in_the_same_breath_is_reported_and_costs_the_connection():
    with serving(answering(lambda line: b"OK\nOK\n" if b"PUT" in line else b"VALUE v\n")) as port:
        to = client(port, program())
        first, second = put(to), get(to)
        to.close()
    assert first.outcome.kind is Kind.OK
    assert first.exchange.unsolicited == b"OK\n"
    assert second.outcome.value == "v"
    assert second.exchange.unsolicited == b""
    assert first.exchange.connection != second.exchange.connection


def test_a_second_answer_that_comes_later_is_found_before_the_next_request():
    answered, said_again = threading.Event(), threading.Event()

    def twice(connection: socket.socket) -> None:
        for line in lines_of(connection):
            connection.sendall(b"OK\n" if b"PUT" in line else b"VALUE v\n")
            if b"PUT" in line:
                assert answered.wait(LONG_S)
                connection.sendall(b"VALUE old\n")
                said_again.set()
                return

    with serving(twice) as port:
        to = client(port, program())
        put(to)
        answered.set()
        assert said_again.wait(LONG_S)
        answer = get(to)
        to.close()
    assert answer.outcome.value == "v"
    assert answer.exchange.unsolicited == b"VALUE old\n"
    assert answer.exchange.surplus == 0


def test_a_refusal_with_an_acceptance_behind_it_is_no_refusal():
    with serving(answering(lambda _: b"ERR read-only\nOK\n")) as port:
        to = client(port, program())
        outcome = put(to).outcome
        to.close()
    assert (outcome.kind, outcome.reason) == (Kind.UNKNOWN, Reason.UNRECOGNISED)
    assert "b'OK\\n'" in outcome.detail


def test_closing_returns_what_came_unasked():
    late = threading.Event()

    def twice(connection: socket.socket) -> None:
        for _ in lines_of(connection):
            connection.sendall(b"OK\n")
            connection.sendall(b"again\n")
            late.set()

    with serving(twice) as port:
        to = client(port, program())
        answer = put(to)
        assert late.wait(LONG_S)
        unasked = answer.exchange.unsolicited + to.close()
    assert unasked == b"again\n"


@pytest.mark.parametrize("reply", [b"OK", b"VALUE half", b""])
def test_a_reply_without_its_end_is_unknown(reply):
    def half(connection: socket.socket) -> None:
        for _ in lines_of(connection):
            connection.sendall(reply)

    with serving(half) as port:
        to = client(port, program())
        answer = put(to, timeout_s=0.3)
        to.close()
    assert (answer.outcome.kind, answer.outcome.reason) == (Kind.UNKNOWN, Reason.TIMEOUT)
    assert answer.exchange.received == reply
    assert repr(reply) in answer.outcome.detail or not reply
    assert r"still to come: the line end b'\n'" in answer.outcome.detail


def test_an_end_in_the_middle_of_a_reply_is_unknown():
    def cut(connection: socket.socket) -> None:
        next(lines_of(connection))
        connection.sendall(b"VALUE hal")

    with serving(cut) as port:
        answer = get(client(port, program()))
    assert (answer.outcome.kind, answer.outcome.reason) == (Kind.UNKNOWN, Reason.CLOSED)
    assert answer.exchange.received == b"VALUE hal"


def test_a_server_that_closes_after_each_reply_is_reconnected_to():
    def once(connection: socket.socket) -> None:
        next(lines_of(connection))
        connection.sendall(b"OK\n")

    with serving(once) as port:
        to = client(port, program(settings={"connection": "per_request"}))
        kinds = [put(to).outcome.kind for _ in range(3)]
        to.close()
    assert kinds == [Kind.OK] * 3


class Leaving:
    """A server that answers until it is told to go, and then goes first."""

    def __init__(self) -> None:
        self._told, self._gone = threading.Event(), threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"OK\n")
        assert self._told.wait(LONG_S)
        connection.shutdown(socket.SHUT_RDWR)
        self._gone.set()

    def leave(self) -> None:
        self._told.set()
        assert self._gone.wait(LONG_S)


def test_an_idle_connection_that_was_closed_is_replaced_before_sending():
    server = Leaving()
    with serving(server) as port:
        to = client(port, program())
        first = put(to)
        server.leave()
        second = put(to)
        to.close()
    assert second.outcome.kind is Kind.OK
    assert second.exchange.connection != first.exchange.connection


def test_a_server_that_ended_first_can_have_its_port_back_at_once():
    server = Leaving()
    with serving(server) as port:
        to = client(port, program())
        put(to)
        server.leave()
    to.close()
    with socket.socket() as strict:  # without SO_REUSEADDR, as many a first server is written
        strict.bind(("127.0.0.1", port))


def test_an_interrupted_request_leaves_no_reply_for_the_next(monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with serving(answering(lambda line: b"VALUE " + line[4:])) as port:
        to = client(port, program())
        get(to, "warm")
        with monkeypatch.context() as patch:
            patch.setattr("kvsim.client.stream._receive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                get(to, "first")
        assert get(to, "second").outcome.value == "second"
        to.close()


def test_reset_on_accept_is_unknown_never_refused():
    with serving(reset) as port:
        to = client(port, program())
        outcomes = [put(to).outcome for _ in range(20)]
        to.close()
    assert all(outcome.kind is Kind.UNKNOWN or outcome.reason is Reason.UNREACHABLE for outcome in outcomes)


def test_binary_is_shown_and_not_understood():
    with serving(answering(lambda _: b"\x00\xff\x1b[31m\n")) as port:
        to = client(port, program())
        outcome = put(to).outcome
        to.close()
    assert (outcome.kind, outcome.reason) == (Kind.UNKNOWN, Reason.UNRECOGNISED)
    assert r"b'\x00\xff\x1b[31m'" in outcome.detail


def test_fifty_megabytes_are_cut_off():
    def flood(connection: socket.socket) -> None:
        next(lines_of(connection))
        for _ in range(50):
            connection.sendall(b"x" * 1_000_000)

    with serving(flood) as port:
        answer = put(client(port, program(settings={"reply_max_bytes": "1000000"})))
    assert answer.exchange.failure == "oversize"
    assert (answer.outcome.kind, answer.outcome.reason) == (Kind.UNKNOWN, Reason.UNRECOGNISED)
    assert len(answer.exchange.received) < 2_000_000
    assert len(answer.outcome.detail) < 1000


def test_a_drip_does_not_stretch_the_limit():
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        next(lines_of(connection))
        while not stop.wait(0.005):
            connection.sendall(b"x")

    with serving(drip) as port:
        answer = put(client(port, program()), timeout_s=0.2)
        stop.set()
    took_s = (answer.exchange.completed_ns - answer.exchange.invoked_ns) / 1e9
    assert answer.outcome.reason is Reason.TIMEOUT
    assert took_s >= 0.19


def test_speaking_first_is_met_with_a_greeting_setting():
    def speak_first(connection: socket.socket) -> None:
        connection.sendall(b"welcome\nto the store\n")
        answering(lambda _: b"OK\n")(connection)

    with serving(speak_first) as port:
        for greeting in ("2", "store$"):
            to = client(port, program(settings={"greeting": greeting}))
            assert [put(to).outcome.kind, put(to).outcome.kind] == [Kind.OK, Kind.OK]
            to.close()
        undeclared = client(port, program())
        assert put(undeclared).outcome.kind is Kind.UNKNOWN
        undeclared.close()


def test_a_greeting_that_never_comes_means_nothing_was_sent():
    stop = threading.Event()
    with serving(lambda _: stop.wait(LONG_S)) as port:
        answer = put(client(port, program(settings={"greeting": "1"})), timeout_s=0.05)
        stop.set()
    assert answer.outcome.reason is Reason.UNREACHABLE
    assert answer.exchange.sent == b""


def test_a_request_larger_than_all_buffers_against_a_server_that_answers_and_does_not_read():
    stop = threading.Event()

    def deaf(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"ERR read-only\n")
        stop.wait(LONG_S)

    with serving(deaf) as port:
        answer = put(client(port, program()), value="x" * 20_000_000)
        stop.set()
    assert answer.outcome.reason is Reason.READ_ONLY
    assert len(answer.exchange.sent) < 20_000_000


def test_a_large_value_travels_both_ways():
    value = "x" * 1_000_000
    with serving(answering(lambda line: b"VALUE " + line[len(b"PUT k ") :])) as port:
        to = client(port, program(replies={"put": program().replies["get"]}))
        assert put(to, value).outcome.value == value
        to.close()


def test_a_frozen_server_is_unknown():
    with socket.create_server(("127.0.0.1", 0)) as nobody_accepts:
        answer = put(client(nobody_accepts.getsockname()[1], program()), timeout_s=SHORT_S)
    assert (answer.outcome.kind, answer.outcome.reason) == (Kind.UNKNOWN, Reason.TIMEOUT)


def test_a_second_answer_in_a_breath_of_its_own_is_reported_with_some_request():
    def twice(connection: socket.socket) -> None:
        for line in lines_of(connection):
            connection.sendall(b"VALUE " + line[4:])
            connection.sendall(b"VALUE " + line[4:])

    with serving(twice) as port:
        to = client(port, program())
        unasked = [get(to, f"k{number}").exchange.unsolicited for number in range(5)]
        unasked.append(to.close())
    assert any(unasked)


FAULTS = ["good", "twice", "late", "half", "close first", "close after", "reset", "nonsense", "long"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=8))
def test_whatever_a_server_does_a_value_belongs_to_its_key(faults):
    gave_up = [threading.Event() for _ in faults]

    def misbehave(connection: socket.socket) -> None:
        for line in lines_of(connection):
            number, reply = int(line[5:]), b"VALUE " + line[4:]
            fault = faults[number]
            if fault == "reset":
                reset(connection)
                return
            if fault == "late":
                assert gave_up[number].wait(LONG_S)
            connection.sendall(WIRE[fault](reply))
            if fault.startswith("close"):
                return

    with serving(misbehave) as port:
        to = client(port, program(settings={"reply_max_bytes": "1000"}))
        for number, fault in enumerate(faults):
            answer = get(to, f"k{number}", SHORT_S if fault in ("late", "half") else LONG_S)
            gave_up[number].set()
            good = fault in ("good", "twice", "close after")
            assert answer.outcome.value == (f"k{number}" if good else None)
            assert answer.outcome.kind is (Kind.OK if good else Kind.UNKNOWN)
            assert answer.exchange.sent == b"GET k%d\n" % number
        to.close()


WIRE = {
    "good": lambda reply: reply,
    "twice": lambda reply: reply * 2,
    "late": lambda reply: reply,
    "half": lambda reply: reply[:-1],
    "close first": lambda reply: reply[:-2],
    "close after": lambda reply: reply,
    "nonsense": lambda reply: b"\x00\xff\n",
    "long": lambda reply: b"x" * 5000,
}
