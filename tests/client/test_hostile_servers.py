"""The client of lines against servers that misbehave.

Every outcome is true, and a reply never goes to another request.
"""

from __future__ import annotations

import errno
import os
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.client.connection import ConnectionFailed
from kvsim.client.exchange import Client, Request, Response
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from tests.client.programs import client, program
from tests.client.servers import answering, lines_of, reset, serving, unused_port

LONG_S = 20.0
SHORT_S = 0.05


def put(to: Client, value: str = "v", timeout_s: float = LONG_S) -> Response:
    return to.ask(Request("put", {"key": "k", "value": value}), timeout_s)


def get(to: Client, key: str = "k", timeout_s: float = LONG_S) -> Response:
    return to.ask(Request("get", {"key": key}), timeout_s)


def test_a_good_server_keeps_one_connection():
    replies = {b"PUT k v\n": b"OK\n", b"GET k\n": b"VALUE v w\n", b"GET x\n": b"NOT_FOUND\n"}
    with serving(answering(replies.__getitem__)) as port:
        to = client(port, program())
        first, second, third = put(to), get(to), get(to, "x")
        assert to.close() == b""
    assert first.outcome == Outcome(OutcomeKind.OK, detail="'OK'")
    assert (second.outcome.value, second.outcome.found) == ("v w", True)
    assert (third.outcome.kind, third.outcome.found) == (OutcomeKind.OK, False)
    assert first.exchange.connection == third.exchange.connection
    assert first.exchange.connection.endswith(f"-> 127.0.0.1:{port}")
    assert (first.exchange.sent, first.exchange.received) == (b"PUT k v\n", b"OK\n")
    assert first.exchange.invoked_ns < first.exchange.completed_ns <= second.exchange.invoked_ns


def test_a_refusal_names_the_port_of_the_leader():
    with serving(answering(lambda _: b"ERR read-only, leader is on port 9001\n")) as port:
        to = client(port, program())
        outcome = put(to).outcome
        to.close()
    assert (outcome.kind, outcome.reason, outcome.leader) == (
        OutcomeKind.REFUSED,
        Reason.READ_ONLY,
        ":9001",
    )


def test_no_server_is_a_certain_refusal():
    to = client(unused_port(), program())
    answer = put(to)
    assert (answer.outcome.kind, answer.outcome.reason) == (OutcomeKind.REFUSED, Reason.UNREACHABLE)
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
    assert put(to).outcome.kind is OutcomeKind.OK
    to.close()
    thread.join()
    listener.close()


def test_a_late_reply_never_goes_to_the_next_request():
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
    assert (first.outcome.kind, first.outcome.reason) == (OutcomeKind.UNKNOWN, Reason.TIMEOUT)
    assert second.outcome.value == "second"
    assert first.exchange.connection != second.exchange.connection


def test_a_second_reply_in_one_packet_is_reported_and_ends_the_connection():
    with serving(answering(lambda line: b"OK\nOK\n" if b"PUT" in line else b"VALUE v\n")) as port:
        to = client(port, program())
        first, second = put(to), get(to)
        to.close()
    assert first.outcome.kind is OutcomeKind.OK
    assert first.exchange.unsolicited == b"OK\n"
    assert second.outcome.value == "v"
    assert second.exchange.unsolicited == b""
    assert first.exchange.connection != second.exchange.connection


def test_a_later_second_reply_is_found_before_the_next_request():
    answered, sent_again = threading.Event(), threading.Event()

    def twice(connection: socket.socket) -> None:
        for line in lines_of(connection):
            connection.sendall(b"OK\n" if b"PUT" in line else b"VALUE v\n")
            if b"PUT" in line:
                assert answered.wait(LONG_S)
                connection.sendall(b"VALUE old\n")
                sent_again.set()
                return

    with serving(twice) as port:
        to = client(port, program())
        put(to)
        answered.set()
        assert sent_again.wait(LONG_S)
        answer = get(to)
        to.close()
    assert answer.outcome.value == "v"
    assert answer.exchange.unsolicited == b"VALUE old\n"
    assert answer.exchange.trailing_bytes == 0


def test_a_refusal_followed_by_an_ok_is_unknown():
    with serving(answering(lambda _: b"ERR read-only\nOK\n")) as port:
        to = client(port, program())
        outcome = put(to).outcome
        to.close()
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.UNRECOGNISED)
    assert "'OK\\n'" in outcome.detail


def test_close_returns_unsolicited_bytes():
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
        unsolicited = answer.exchange.unsolicited + to.close()
    assert unsolicited == b"again\n"


@pytest.mark.parametrize("reply", [b"OK", b"VALUE half", b""])
def test_a_reply_without_its_end_is_unknown(reply):
    def half(connection: socket.socket) -> None:
        for _ in lines_of(connection):
            connection.sendall(reply)

    with serving(half) as port:
        to = client(port, program())
        answer = put(to, timeout_s=0.3)
        to.close()
    assert (answer.outcome.kind, answer.outcome.reason) == (OutcomeKind.UNKNOWN, Reason.TIMEOUT)
    assert answer.exchange.received == reply
    assert repr(reply.decode()) in answer.outcome.detail or not reply
    assert r"still to come: the line end '\n'" in answer.outcome.detail


def test_an_end_in_the_middle_of_a_reply_is_unknown():
    def cut(connection: socket.socket) -> None:
        next(lines_of(connection))
        connection.sendall(b"VALUE hal")

    with serving(cut) as port:
        answer = get(client(port, program()))
    assert (answer.outcome.kind, answer.outcome.reason) == (OutcomeKind.UNKNOWN, Reason.CLOSED)
    assert answer.exchange.received == b"VALUE hal"


def test_a_server_that_closes_after_each_reply_gets_new_connections():
    def once(connection: socket.socket) -> None:
        next(lines_of(connection))
        connection.sendall(b"OK\n")

    with serving(once) as port:
        to = client(port, program(settings={"connection": "per_request"}))
        kinds = [put(to).outcome.kind for _ in range(3)]
        to.close()
    assert kinds == [OutcomeKind.OK] * 3


class Leaving:
    """A server that answers once, and closes first when `leave` is called."""

    def __init__(self) -> None:
        self._leaving, self._left = threading.Event(), threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"OK\n")
        assert self._leaving.wait(LONG_S)
        connection.shutdown(socket.SHUT_RDWR)
        self._left.set()

    def leave(self) -> None:
        self._leaving.set()
        assert self._left.wait(LONG_S)


def test_an_idle_connection_that_was_closed_is_replaced_before_sending():
    server = Leaving()
    with serving(server) as port:
        to = client(port, program())
        first = put(to)
        server.leave()
        second = put(to)
        to.close()
    assert second.outcome.kind is OutcomeKind.OK
    assert second.exchange.connection != first.exchange.connection


def test_a_server_that_closed_first_can_bind_its_port_again_at_once():
    server = Leaving()
    with serving(server) as port:
        to = client(port, program())
        put(to)
        server.leave()
    to.close()
    # Without SO_REUSEADDR, as in many first servers.
    with socket.socket() as strict:
        strict.bind(("127.0.0.1", port))


def test_the_reply_to_an_interrupted_request_never_goes_to_the_next(monkeypatch):
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


def test_a_reset_after_accept_is_unknown_whenever_it_is_noticed():
    """The kernel chooses whether it shows in the connect, in the first send or after it."""
    with serving(reset) as port:
        to = client(port, program())
        outcomes = [put(to).outcome for _ in range(20)]
        to.close()
    assert {(outcome.kind, outcome.reason) for outcome in outcomes} <= {
        (OutcomeKind.UNKNOWN, Reason.RESET),
        (OutcomeKind.UNKNOWN, Reason.CLOSED),
    }


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE])
@pytest.mark.parametrize("where", ["_connect", "Connection.send_some"])
def test_a_reset_in_the_connect_and_one_just_after_are_one_outcome(monkeypatch, number, where):
    def fails(*_):
        raise OSError(number, os.strerror(number))

    def broken(self, data):
        raise ConnectionFailed("reset", "the connection broke while sending")

    with serving(reset) as port, monkeypatch.context() as patch:
        patch.setattr(f"kvsim.client.connection.{where}", fails if where == "_connect" else broken)
        to = client(port, program())
        outcome = put(to).outcome
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert outcome.reason in {Reason.RESET, Reason.CLOSED}


def test_binary_is_quoted_and_unknown():
    with serving(answering(lambda _: b"\x00\xff\x1b[31m\n")) as port:
        to = client(port, program())
        outcome = put(to).outcome
        to.close()
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.UNRECOGNISED)
    assert r"b'\x00\xff\x1b[31m'" in outcome.detail


def test_fifty_megabytes_are_cut_off():
    def flood(connection: socket.socket) -> None:
        next(lines_of(connection))
        for _ in range(50):
            connection.sendall(b"x" * 1_000_000)

    with serving(flood) as port:
        answer = put(client(port, program(settings={"reply_max_bytes": "1000000"})))
    assert answer.exchange.failure == "oversize"
    assert (answer.outcome.kind, answer.outcome.reason) == (
        OutcomeKind.UNKNOWN,
        Reason.UNRECOGNISED,
    )
    assert len(answer.exchange.received) < 2_000_000
    assert len(answer.outcome.detail) < 1000


def test_slow_bytes_do_not_extend_the_time_out():
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        next(lines_of(connection))
        while not stop.wait(0.005):
            connection.sendall(b"x")

    with serving(drip) as port:
        answer = put(client(port, program()), timeout_s=0.2)
        stop.set()
    # A time-out that each byte extends would never end.
    assert answer.outcome.reason is Reason.TIMEOUT


def test_a_server_that_sends_first_needs_the_greeting_setting():
    def speak_first(connection: socket.socket) -> None:
        connection.sendall(b"welcome\nto the store\n")
        answering(lambda _: b"OK\n")(connection)

    with serving(speak_first) as port:
        for greeting in ("2", "store$"):
            to = client(port, program(settings={"greeting": greeting}))
            assert [put(to).outcome.kind, put(to).outcome.kind] == [OutcomeKind.OK, OutcomeKind.OK]
            to.close()
        undeclared = client(port, program())
        assert put(undeclared).outcome.kind is OutcomeKind.UNKNOWN
        undeclared.close()


def test_without_the_greeting_nothing_is_sent():
    stop = threading.Event()
    with serving(lambda _: stop.wait(LONG_S)) as port:
        answer = put(client(port, program(settings={"greeting": "1"})), timeout_s=0.05)
        stop.set()
    assert answer.outcome.reason is Reason.UNREACHABLE
    assert answer.exchange.sent == b""


def test_a_huge_request_to_a_server_that_answers_and_does_not_read():
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


def test_a_large_value_is_sent_and_received():
    value = "x" * 1_000_000
    with serving(answering(lambda line: b"VALUE " + line[len(b"PUT k ") :])) as port:
        to = client(port, program(replies={"put": program().replies["get"]}))
        assert put(to, value).outcome.value == value
        to.close()


def test_a_frozen_server_is_unknown():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer = put(client(listener.getsockname()[1], program()), timeout_s=SHORT_S)
    assert (answer.outcome.kind, answer.outcome.reason) == (OutcomeKind.UNKNOWN, Reason.TIMEOUT)


def test_a_second_reply_in_its_own_packet_is_reported_with_some_request():
    def twice(connection: socket.socket) -> None:
        for line in lines_of(connection):
            connection.sendall(b"VALUE " + line[4:])
            connection.sendall(b"VALUE " + line[4:])

    with serving(twice) as port:
        to = client(port, program())
        unsolicited = [get(to, f"k{number}").exchange.unsolicited for number in range(5)]
        unsolicited.append(to.close())
    assert any(unsolicited)


FAULTS = [
    "good",
    "twice",
    "late",
    "half",
    "close first",
    "close after",
    "reset",
    "nonsense",
    "long",
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=8))
def test_a_value_belongs_to_its_key_with_any_server(faults):
    gave_up = [threading.Event() for _ in faults]
    closed = [threading.Event() for _ in faults]

    def misbehave(connection: socket.socket) -> None:
        for line in lines_of(connection):
            number, reply = int(line[5:]), b"VALUE " + line[4:]
            fault = faults[number]
            if fault == "reset":
                reset(connection)
                return
            if fault == "late":
                assert gave_up[number].wait(LONG_S)
            connection.sendall(SENT[fault](reply))
            if fault.startswith("close"):
                connection.shutdown(socket.SHUT_RDWR)
                closed[number].set()
                return

    with serving(misbehave) as port:
        to = client(port, program(settings={"reply_max_bytes": "1000"}))
        for number, fault in enumerate(faults):
            answer = get(to, f"k{number}", SHORT_S if fault in ("late", "half") else LONG_S)
            gave_up[number].set()
            # A request that meets the end of its connection may have happened, so it is unknown.
            assert not fault.startswith("close") or closed[number].wait(LONG_S)
            good = fault in ("good", "twice", "close after")
            assert answer.outcome.value == (f"k{number}" if good else None)
            assert answer.outcome.kind is (OutcomeKind.OK if good else OutcomeKind.UNKNOWN)
            assert answer.exchange.sent == b"GET k%d\n" % number
        to.close()


SENT = {
    "good": lambda reply: reply,
    "twice": lambda reply: reply * 2,
    "late": lambda reply: reply,
    "half": lambda reply: reply[:-1],
    "close first": lambda reply: reply[:-2],
    "close after": lambda reply: reply,
    "nonsense": lambda reply: b"\x00\xff\n",
    "long": lambda reply: b"x" * 5000,
}
