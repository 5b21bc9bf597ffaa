"""`speak: http` against a real server and against servers that break the protocol; its decoder
against any bytes.
"""

from __future__ import annotations

import base64
import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.codec import Malformed, Oversize, ReplyFrame
from kvsim.client.exchange import Request
from kvsim.client.http_decoder import HttpDecoder
from kvsim.client.settings import BadSetting
from kvsim.client.templates import Unsendable
from kvsim.config.program import Program, ReplyRule
from kvsim.history.outcome import OutcomeKind, Reason
from tests.client.programs import client, program
from tests.client.servers import serving

LONG_S = 20.0


class Store(http.server.BaseHTTPRequestHandler):
    """PUT/GET/DELETE /raw/KEY with the value as body; POST /json with base64; /moved answers 307;
    anything kept in `data`.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    data: dict[bytes, bytes]

    def do_PUT(self) -> None:
        self.data[self._key()] = self._body()
        self._answer(200, b"stored")

    def do_GET(self) -> None:
        value = self.data.get(self._key())
        if value is None:
            self._answer(404, b"no such key")
        else:
            self._answer(200, value, {"X-Value": "from a header"})

    def do_POST(self) -> None:
        asked = json.loads(self._body())
        if self.path == "/moved":
            self._answer(307, b"", {"Location": "http://127.0.0.1:9001/moved"})
        elif "value" in asked:
            self.data[base64.b64decode(asked["key"])] = base64.b64decode(asked["value"])
            self._answer(200, b"{}")
        else:
            value = self.data.get(base64.b64decode(asked["key"]))
            found = [] if value is None else [{"value": base64.b64encode(value).decode()}]
            self._answer(200, json.dumps({"kvs": found}).encode())

    def _key(self) -> bytes:
        return unquote_to_bytes(self.path.rpartition("/")[2])

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[int]:
    handler = type("Handler", (Store,), {"data": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


RAW = program(
    "http",
    requests={
        "put": {"method": "PUT", "path": "/raw/{key}", "body": "{value}"},
        "get": "GET /raw/{key}",
    },
    replies={
        "put": (ReplyRule("ok", status=frozenset({200}), reply="^stored$"),),
        "get": (
            ReplyRule("value", status=frozenset({200})),
            ReplyRule("not_found", status=frozenset({404})),
        ),
    },
)
JSON = program(
    "http",
    settings={"value": {"json": "$.kvs[0].value", "decode": "base64"}},
    requests={
        "put": {
            "method": "POST",
            "path": "/json",
            "body": '{"key": "{key.base64}", "value": "{value.base64}"}',
        },
        "get": {"method": "POST", "path": "/json", "body": '{"key": "{key.base64}"}'},
        "moved": {"method": "POST", "path": "/moved", "body": '{"key": {key.json}}'},
    },
    replies={
        "put": (ReplyRule("ok", status=frozenset({200})),),
        "get": (
            ReplyRule("value", status=frozenset({200})),
            ReplyRule("not_found", reply=r'"kvs": \[\]'),
        ),
        "moved": (
            ReplyRule(
                "read_only", status=frozenset({307}), headers={"Location": "(?P<leader_url>.+)"}
            ),
        ),
    },
)
AWKWARD = [
    "plain",
    "",
    "with spaces and ünï",
    "line\nend\r\n",
    "\udcff\udc80",
    '{"quotes": "\\"}',
    "\x00",
    "a/b?c#d%20",
]


@pytest.mark.parametrize("described", [RAW, JSON], ids=["raw", "json"])
def test_any_text_comes_back_unchanged(store, described):
    to = client(store, described)
    for text in AWKWARD:
        key = f"k{text}"
        assert to.ask(Request("get", {"key": key}), LONG_S).outcome.found is False
        assert (
            to.ask(Request("put", {"key": key, "value": text}), LONG_S).outcome.kind
            is OutcomeKind.OK
        )
        answer = to.ask(Request("get", {"key": key}), LONG_S)
        assert (answer.outcome.value, answer.exchange.status) == (text, 200)
    to.close()


def test_one_connection_carries_all_requests_and_its_bytes_are_recorded(store):
    to = client(store, RAW)
    first = to.ask(Request("put", {"key": "a b", "value": "v"}), LONG_S).exchange
    second = to.ask(Request("get", {"key": "a b"}), LONG_S).exchange
    to.close()
    assert first.connection == second.connection
    assert (
        first.sent
        == b"PUT /raw/a%%20b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 1\r\n\r\nv" % store
    )
    assert second.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (second.reply, second.headers["x-value"]) == (b"v", "from a header")


def test_a_connection_for_each_request(store):
    to = client(store, program("http", {"connection": "per_request"}, RAW.requests, RAW.replies))
    names = {to.ask(Request("get", {"key": "k"}), LONG_S).exchange.connection for _ in range(3)}
    assert len(names) == 3


def test_a_redirect_is_read_and_not_followed(store):
    to = client(store, JSON)
    outcome = to.ask(Request("moved", {"key": 'k"\n'}), LONG_S).outcome
    to.close()
    assert (outcome.reason, outcome.leader) == (Reason.READ_ONLY, "http://127.0.0.1:9001/moved")


def test_a_value_in_a_header(store):
    described = program("http", {"value": {"header": "X-Value"}}, RAW.requests, RAW.replies)
    to = client(store, described)
    to.ask(Request("put", {"key": "k", "value": "in the body"}), LONG_S)
    assert to.ask(Request("get", {"key": "k"}), LONG_S).outcome.value == "from a header"
    to.close()


def get_from(reply: bytes, described: Program = RAW):
    def behave(connection):
        connection.recv(65536)
        connection.sendall(reply)

    with serving(behave) as port:
        to = client(port, described)
        answer = to.ask(Request("get", {"key": "k"}), LONG_S)
        to.close()
        return answer


def test_success_without_the_value_is_not_a_value():
    answer = get_from(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"error": "no"}', JSON)
    assert (answer.outcome.kind, answer.outcome.reason) == (
        OutcomeKind.UNKNOWN,
        Reason.UNRECOGNISED,
    )


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"kvs": [{"value": "YQ=="}]}', "a"),
        (b'{"kvs": [{"value": ""}]}', ""),
        # JSON of protobuf leaves out what is empty; another object has no value at all.
        (b'{"kvs": [{"key": "k"}]}', ""),
        (b'{"kvs": []}', None),
        (b'{"kvs": [{"value": null}]}', None),
        (b'{"error": "no"}', None),
    ],
)
def test_a_value_that_is_left_out_because_it_is_empty(body, value):
    settings = {"value": {"json": "$.kvs[0].value", "decode": "base64", "omitted": ""}}
    described = program("http", settings, RAW.requests, RAW.replies)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert get_from(head + body, described).outcome.value == value


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Reason.CLOSED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", Reason.CLOSED),
        (b"HTTP/1.1 200 OK\r\n", Reason.CLOSED),
        (b"ERR read-only\n", Reason.UNRECOGNISED),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Reason.UNRECOGNISED),
    ],
)
def test_a_broken_response_is_unknown(reply, reason):
    outcome = get_from(reply).outcome
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, reason)


def test_a_body_that_ends_with_the_connection():
    assert get_from(b"HTTP/1.0 200 OK\r\n\r\nthe value\n").outcome.value == "the value\n"


def decoder(limit: int = 5000) -> HttpDecoder:
    return HttpDecoder(limit, lambda body, headers: {})


def outcome_of(pieces: list[bytes]) -> tuple[bytes, bytes, int | None] | str | None:
    reading = decoder()
    try:
        for number, piece in enumerate(pieces):
            reply = reading.feed(piece)
            if reply is not None:
                return reply.text, reply.rest + b"".join(pieces[number + 1 :]), reply.status
        ended = reading.finish()
    except (Malformed, Oversize) as error:
        return type(error).__name__
    return None if ended is None else (ended.text, ended.rest, ended.status)


PARTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 204 x\n",
        b"Content-Length: 3\r\n",
        b"\r\n",
        b"\n",
        b"Transfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n",
        b"abc",
        b"a;x=y\r\n",
        b": x\r\n",
        b"Connection: close\r\n",
    ]
)


@given(
    st.lists(st.one_of(PARTS, st.binary(max_size=8)), max_size=10).map(b"".join),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_a_response_does_not_depend_on_where_it_is_split(data, cuts):
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:stop] for start, stop in itertools.pairwise(edges)]
    assert outcome_of(pieces) == outcome_of([data])


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=10))
def test_chunks_are_joined(chunks, more):
    wire = b"".join(b"%x;ext\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
    reply = decoder().feed(head + wire + b"0\r\nTrailer: x\r\n\r\n" + more)
    assert isinstance(reply, ReplyFrame)
    assert (reply.text, reply.rest) == (b"".join(chunks), more)


def test_a_body_beyond_the_limit_is_cut_off():
    for head in (b"Content-Length: 6000\r\n", b"Transfer-Encoding: chunked\r\n", b""):
        with pytest.raises(Oversize):
            decoder().feed(
                b"HTTP/1.1 200 OK\r\n"
                + head
                + b"\r\n"
                + b"1000\r\n"
                + b"x" * 4096
                + b"\r\n1000\r\n"
                + b"x" * 4096
            )


@pytest.mark.parametrize(
    "request_",
    [
        "GET",
        {"path": "keys"},
        {"path": "/", "bodi": "x"},
        {"path": "/", "value": {"json": "kvs"}},
        ["GET", "/"],
    ],
)
def test_a_mistake_in_a_request_is_reported_with_its_verb(request_):
    with pytest.raises(BadSetting, match="request `get`"):
        client(1, program("http", requests={"get": request_}))


def test_a_field_cannot_inject_a_header():
    described = program("http", requests={"get": {"path": "/", "headers": {"X-Key": "{key}"}}})
    with pytest.raises(Unsendable):
        client(1, described).ask(Request("get", {"key": "k\r\nX-Evil: 1"}), LONG_S)


def closing_at_the_second_request(received: list[bytes]):
    """Answers the first request of each connection, and closes it when the second has arrived.

    So a client observes the close of an idle connection that crosses its request.
    """

    def behave(connection):
        for number in range(2):
            data = b""
            while b"\r\n\r\n" not in data:
                chunk = connection.recv(4096)
                if not chunk:
                    return
                data += chunk
            received.append(data.split()[0])
            if number == 0:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nv")

    return behave


@pytest.mark.parametrize(
    ("verb", "kind", "methods"),
    [
        ("get", OutcomeKind.OK, [b"GET", b"GET", b"GET"]),
        # It may have happened, so it is never sent twice.
        ("put", OutcomeKind.UNKNOWN, [b"GET", b"PUT"]),
    ],
)
def test_where_a_close_crosses_a_request_only_a_read_is_asked_again(verb, kind, methods):
    received: list[bytes] = []
    with serving(closing_at_the_second_request(received)) as port:
        to = client(port, RAW)
        fields = {"key": "k", "value": "v"}
        assert to.ask(Request("get", {"key": "k"}), 2).outcome.kind is OutcomeKind.OK
        outcome = to.ask(Request(verb, fields), 2).outcome
        to.close()
    assert outcome.kind is kind, outcome
    assert received == methods


def test_a_close_on_a_new_connection_is_the_nodes_fault_and_nothing_is_asked_again():
    asked: list[bytes] = []
    with serving(lambda connection: asked.append(connection.recv(4096))) as port:
        to = client(port, RAW)
        outcome = to.ask(Request("get", {"key": "k"}), 2).outcome
        to.close()
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, Reason.CLOSED)
    assert len(asked) == 1
