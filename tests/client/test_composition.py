"""Requests of several parts, and requests in another protocol: alternatives, steps, `speak`."""

from __future__ import annotations

import sys

import pytest

from kvsim.client.connect import connect
from kvsim.client.exchange import Request
from kvsim.client.templates import UnknownVerb
from kvsim.config.program import Program, ReplyRule
from kvsim.history.outcome import OutcomeKind, Reason
from tests.client.programs import client, program
from tests.client.servers import answering, lines_of, serving

LONG_S = 20.0
CREATE_OR_MODIFY = {
    "put": {"first_of": ["CREATE {key} {value}", "MODIFY {key} {value}"]},
    "get": "GET {key}",
}
RULES = {
    "put": (
        ReplyRule("ok", reply="^DONE$"),
        ReplyRule("next", reply="^EXISTS$"),
        ReplyRule("refused", reply="^READONLY"),
    ),
    "get": (
        ReplyRule("value", reply="^VALUE (?P<value>.*)$"),
        ReplyRule("not_found", reply="^NO$"),
    ),
}
FIELDS = {"key": "k", "value": "v"}


def strict_store(data: dict[bytes, bytes], replies: list[bytes] | None = None):
    """A store that creates and modifies, but does not put. `replies` are given first."""
    forced = list(replies or ())

    def reply(line: bytes) -> bytes:
        if forced:
            return forced.pop(0)
        verb, key, *value = line.split()
        if verb == b"GET":
            return b"VALUE %b\n" % data[key] if key in data else b"NO\n"
        if (verb == b"CREATE") is (key in data):
            return b"EXISTS\n" if key in data else b"MISSING\n"
        data[key] = value[0]
        return b"DONE\n"

    return answering(reply)


def test_the_next_alternative_is_asked_when_one_does_not_apply():
    data: dict[bytes, bytes] = {}
    with serving(strict_store(data)) as port:
        to = client(port, program(requests=CREATE_OR_MODIFY, replies=RULES))
        first = to.ask(Request("put", FIELDS), LONG_S)
        second = to.ask(Request("put", {"key": "k", "value": "w"}), LONG_S)
        read = to.ask(Request("get", FIELDS), LONG_S)
        to.close()
    assert (first.outcome.kind, second.outcome.kind) == (OutcomeKind.OK, OutcomeKind.OK)
    assert (first.exchange.sent, second.exchange.sent) == (
        b"CREATE k v\n",
        b"CREATE k w\nMODIFY k w\n",
    )
    assert second.exchange.received == b"EXISTS\nDONE\n"
    assert (second.exchange.verb, read.outcome.value) == ("put", "w")


@pytest.mark.parametrize(
    ("replies", "kind", "reason"),
    [
        ([b"EXISTS\n", b"EXISTS\n"], OutcomeKind.REFUSED, Reason.OTHER),
        ([b"EXISTS\n", b"READONLY\n"], OutcomeKind.REFUSED, Reason.OTHER),
        ([b"EXISTS\n", b"what\n"], OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
        ([b"what\n", b"DONE\n"], OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
    ],
)
def test_the_last_reply_counts(replies, kind, reason):
    with serving(strict_store({}, replies)) as port:
        to = client(port, program(requests=CREATE_OR_MODIFY, replies=RULES))
        outcome = to.ask(Request("put", FIELDS), LONG_S).outcome
        to.close()
    assert (outcome.kind, outcome.reason) == (kind, reason)


def transactional(connection):
    """A store in which a write is a transaction of three lines."""
    queued = None
    for line in lines_of(connection):
        verb, *words = line.split()
        if verb == b"BEGIN":
            queued = b""
        elif verb == b"SET" and queued is not None:
            queued = b" ".join(words)
        connection.sendall(
            {b"BEGIN": b"OK\n", b"SET": b"QUEUED\n", b"COMMIT": b"STORED %b\n" % (queued or b"?")}[
                verb
            ]
        )
        queued = None if verb == b"COMMIT" else queued


def test_steps_are_sent_in_turn_and_their_replies_are_read_together():
    sent = []
    described = program(
        requests={"put": {"steps": ["BEGIN", "SET {key} {value}", "COMMIT"]}},
        replies={"put": (ReplyRule("ok", reply="^OK\nQUEUED\nSTORED k v$"),)},
    )
    with serving(transactional) as port:
        to = client(port, described)
        request = Request("put", FIELDS, when_sent=lambda: sent.append("sent"))
        answer = to.ask(request, LONG_S)
        to.close()
    assert answer.outcome.kind is OutcomeKind.OK
    assert (answer.exchange.sent, sent) == (b"BEGIN\nSET k v\nCOMMIT\n", ["sent"])


def test_a_connection_that_ends_between_steps_leaves_the_outcome_unknown():
    def behave(connection):
        lines = lines_of(connection)
        next(lines)
        connection.sendall(b"OK\n")
        next(lines)

    described = program(
        requests={"put": {"steps": ["BEGIN", "SET {key} {value}", "COMMIT"]}},
        replies={"put": (ReplyRule("refused", reply="^OK"),)},
    )
    with serving(behave) as port:
        outcome = client(port, described).ask(Request("put", FIELDS), LONG_S).outcome
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.CLOSED)


def http_role(connection):
    for line in lines_of(connection):
        if line == b"\r\n":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nleader")


def ask_status(described: Program, port: int, admin_port: int = 0):
    names = {"port": str(port), "host": "127.0.0.1", "ports.admin": str(admin_port)}
    to = connect(described, "127.0.0.1", port, names=names)
    answers = to.ask(Request("status"), LONG_S), to.ask(Request("get", FIELDS), LONG_S)
    to.close()
    return answers


def test_one_request_may_be_in_another_protocol_on_another_port():
    status = {"speak": {"kind": "http", "port": "admin"}, "send": "GET /role"}
    described = program(
        requests={"get": "GET {key}", "status": status},
        replies={**RULES, "status": (ReplyRule("ok", status=frozenset({200})),)},
    )
    with serving(http_role) as admin_port, serving(strict_store({b"k": b"v"})) as port:
        status_answer, read = ask_status(described, port, admin_port)
    assert (status_answer.exchange.text, status_answer.outcome.kind) == ("leader", OutcomeKind.OK)
    assert (status_answer.exchange.status, read.outcome.value) == (200, "v")


def test_one_request_may_be_a_command():
    command = [sys.executable, "-I", "-S", "-c", "import sys; print('role', sys.argv[1])", "{port}"]
    described = program(
        requests={"get": "GET {key}", "status": {"speak": "command", "send": command}},
        replies={**RULES, "status": (ReplyRule("ok", status=frozenset({0})),)},
    )
    with serving(strict_store({b"k": b"v"})) as port:
        status, read = ask_status(described, port)
    assert (status.exchange.text, read.outcome.value) == (f"role {port}", "v")


def test_an_unknown_verb_is_named_beside_the_requests_of_the_file():
    described = program(requests=CREATE_OR_MODIFY)
    with pytest.raises(UnknownVerb, match="no request `delete`; it has put, get"):
        client(1, described).ask(Request("delete", FIELDS), LONG_S)
