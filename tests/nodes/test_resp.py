"""RESP2: any bytes, cut anywhere, decode to the same requests; the quick ways agree with the slow one; limits are told."""

import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvstore import limits, record, resp
from kvstore.node import Node
from kvstore.session_resp import CLOSE, RespSession
from storerun import eventually

words = st.lists(st.binary(max_size=12), min_size=1, max_size=4)


def encode(request):
    return resp.encode_array([resp.encode_bulk(word) for word in request])


def decode_in_pieces(data, at):
    marks = sorted({mark % (len(data) + 1) for mark in at} | {0, len(data)})
    held, requests = b"", []
    for start, end in pairwise(marks):
        done, held, needed = resp.decode(held + data[start:end])
        requests += done
        assert needed > len(held)
    return requests, held


@settings(max_examples=300, deadline=None)
@given(st.lists(words, max_size=6), st.lists(st.integers(0, 500), max_size=6))
def test_requests_come_back_however_the_stream_is_cut(requests, at):
    data = b"".join(map(encode, requests))
    assert decode_in_pieces(data, at) == (requests, b"")


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=100) | st.text("*$0123456789\r\n-aSETG", max_size=60).map(str.encode))
def test_any_bytes_are_requests_unfinished_or_refused(data):
    try:
        requests, rest, needed = resp.decode(data)
    except resp.BadRequest as error:
        assert isinstance(error.done, list)
        return
    assert all(requests)
    assert data.endswith(rest)
    assert needed > 0


pairs = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(pairs, st.binary(max_size=3), st.integers(0, 200), st.sampled_from([b"", b"\r", b"\n", b"$", b"9"]))
def test_a_run_of_sets_is_what_the_slow_decoder_finds_or_nothing(pairs, tail, spot, noise):
    data = b"".join(record.encode_set(key, value) for key, value in pairs) + tail
    spot %= len(data) + 1
    for stream in (data, data[:spot] + noise + data[spot:]):
        quick = resp.run_of_sets(stream)
        if quick is not None:
            assert [[b"SET", *pair] for pair in zip(*quick[:2], strict=True)] == resp.decode(stream)[0]
            assert resp.decode(stream)[1] == quick[2] == b""


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(max_size=8), min_size=1, max_size=8),
    st.integers(0, 200),
    st.sampled_from([b"", b"\r\n", b"4"]),
)
def test_a_run_of_gets_is_what_the_slow_decoder_finds_or_nothing(keys, spot, noise):
    data = b"".join(encode([b"GET", key]) for key in keys)
    spot %= len(data) + 1
    for stream in (data, data[:spot] + noise + data[spot:]):
        quick = resp.run_of_gets(stream)
        if quick is not None:
            assert [[b"GET", key] for key in quick] == resp.decode(stream)[0]


class InMemory:
    """What a session needs of an engine."""

    def __init__(self):
        self.data = {}
        self.get = self.data.get

    def __len__(self):
        return len(self.data)

    def put(self, key, value):
        self.data[key] = value

    def put_all(self, keys, values, _commands):
        self.data.update(zip(keys, values, strict=True))

    def get_all(self, keys):
        return [self.data.get(key) for key in keys]

    def delete(self, key):
        return self.data.pop(key, None) is not None


def session(leads=True):
    told = type("Settings", (), {"leads": leads, "leader": ("h", 1), "host": "h", "fsync": "never"})
    return RespSession(Node(told, InMemory(), None), lambda *_: None)


def answers(session, data):
    replies = session.feed(data)
    return (
        replies if isinstance(replies, bytes) else b"".join(reply for reply in replies if reply is not CLOSE)
    )


request_lists = st.lists(
    st.one_of(
        st.tuples(st.just(b"SET"), st.sampled_from([b"a", b"b"]), st.binary(max_size=6)),
        st.tuples(st.just(b"GET"), st.sampled_from([b"a", b"b", b"c"])),
        st.tuples(st.just(b"DEL"), st.sampled_from([b"a", b"b"])),
        st.tuples(
            st.just(b"SET"), st.just(b"a"), st.just(b"2"), st.just(b"ifeq"), st.sampled_from([b"", b"2"])
        ),
        st.tuples(st.just(b"PING")),
    ),
    max_size=10,
)


@settings(max_examples=200, deadline=None)
@given(request_lists, st.lists(st.integers(0, 500), max_size=4))
def test_a_pipeline_gets_the_replies_that_single_requests_would(requests, at):
    single, piped, cut = session(), session(), session()
    data = b"".join(map(encode, requests))
    expected = b"".join(answers(single, encode(request)) for request in requests)
    assert answers(piped, data) == expected if data else True
    marks = sorted({mark % (len(data) + 1) for mark in at} | {0, len(data)})
    got = b"".join(answers(cut, data[a:b]) for a, b in pairwise(marks) if b > a)
    assert got == expected


@pytest.mark.parametrize(
    ("request_words", "reply"),
    [
        ([b"PING"], b"+PONG\r\n"),
        ([b"ping", b"hi"], b"$2\r\nhi\r\n"),
        ([b"ECHO", b"\x00\r\n"], b"$3\r\n\x00\r\n\r\n"),
        ([b"SET", b"k", b"v"], b"+OK\r\n"),
        ([b"GET", b"none"], b"$-1\r\n"),
        ([b"EXISTS", b"none", b"none"], b":0\r\n"),
        ([b"DBSIZE"], b":0\r\n"),
        ([b"SET", b"k", b"w", b"IFEQ", b"v"], b"$-1\r\n"),
        ([b"CONFIG", b"GET", b"save", b"nope"], b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
        ([b"COMMAND", b"DOCS"], b"*0\r\n"),
        ([b"QUIT"], b"+OK\r\n"),
    ],
)
def test_replies(request_words, reply):
    assert answers(session(), encode(request_words)) == reply


@pytest.mark.parametrize(
    "wrong",
    [[b"SET", b"k"], [b"GET"], [b"FLUSHALL"], [b"SET", b"k", b"v", b"NX"], [b"SET", b"k" * 2000, b"v"]],
)
def test_wrong_requests_are_errors_and_the_next_is_answered(wrong):
    got = answers(session(), encode(wrong) + encode([b"PING"]))
    assert got.startswith(b"-ERR ")
    assert got.endswith(b"\r\n+PONG\r\n")


def test_a_follower_answers_readonly_and_names_its_leader():
    assert (
        answers(session(leads=False), encode([b"SET", b"k", b"v"]))
        == b"-READONLY read-only, leader is on port 1\r\n"
    )


def test_compare_and_set_in_redis_own_words():
    one = session()
    sent = [
        [b"SET", b"k", b"old"],
        [b"SET", b"k", b"new", b"IFEQ", b"old"],
        [b"SET", b"k", b"x", b"IFEQ", b"old"],
    ]
    got = b"".join(answers(one, encode(request)) for request in [*sent, [b"GET", b"k"]])
    assert got == b"+OK\r\n+OK\r\n$-1\r\n$3\r\nnew\r\n"


def connect(store):
    return socket.create_connection(("127.0.0.1", store.port), timeout=20)


def test_both_protocols_share_one_port_and_one_state(new_store):
    store = new_store()
    with connect(store) as sock:
        sock.sendall(encode([b"SET", b"k", b"v"]) + b"GET k\r\nPING\r\n")
        assert eventually(lambda: sock.recv(100, socket.MSG_PEEK), lambda data: data.endswith(b"PONG\r\n"))
        assert sock.recv(100) == b"+OK\r\n$1\r\nv\r\n+PONG\r\n"
        sock.sendall(encode([b"SET", b"two", b"a\nb"]))
        assert sock.recv(100) == b"+OK\r\n"
    assert store.ask("GET k") == "VALUE v"
    assert store.ask("GET two").startswith("ERR the value holds a line end")
    with connect(store) as inline:
        inline.sendall(b"PI")
        inline.sendall(b"NG\r\n")
        assert inline.recv(100) == b"+PONG\r\n"
    with connect(store) as lines:
        lines.sendall(b"PUT k w\r\nGET k\r\n")
        assert eventually(lambda: lines.recv(100, socket.MSG_PEEK), lambda data: data.endswith(b"w\n"))
        assert lines.recv(100) == b"OK\nVALUE w\n"


@pytest.mark.parametrize(
    "breach",
    [
        b"*5000\r\n",
        b"*-1\r\n",
        b"*1\r\n$99999999\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$1\r\nabc\r\n",
        b"*2\r\n" + b"9" * 100,
        b"x" * (limits.INLINE_BYTES_MAX + 10),
    ],
)
def test_a_broken_stream_is_told_and_ended(new_store, breach):
    store = new_store()
    with connect(store) as sock, store.client() as ask:
        sock.sendall(encode([b"PING"]) + breach)
        got = b""
        while data := sock.recv(1000):
            got += data
        assert got.startswith(b"+PONG\r\n-ERR Protocol error: ")
        assert ask("PING") == "PONG"


def test_a_value_of_a_megabyte_goes_in_and_comes_out(new_store):
    store, value = new_store(), bytes(range(256)) * 4096
    with connect(store) as sock:
        sock.sendall(encode([b"SET", b"big", value]))
        assert sock.recv(100) == b"+OK\r\n"
        sock.sendall(encode([b"GET", b"big"]))
        expected, got = resp.encode_bulk(value), b""
        while len(got) < len(expected):
            got += sock.recv(1 << 20)
        assert got == expected
