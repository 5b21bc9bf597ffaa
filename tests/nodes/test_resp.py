"""RESP2: any bytes, cut anywhere, decode to the same requests; fast and slow decoders agree."""

import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvstore import limits, record, resp
from kvstore.node import StoreNode
from kvstore.replies import CLOSE
from kvstore.resp_session import RespSession
from store_process import eventually

arguments = st.lists(st.binary(max_size=12), min_size=1, max_size=4)


def encode(request):
    return resp.encode_array([resp.encode_bulk(argument) for argument in request])


def cut(data, offsets):
    """Return the data in pieces, cut at these offsets (modulo its length)."""
    cuts = sorted({offset % (len(data) + 1) for offset in offsets} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(cuts)]


def decode_in_pieces(data, offsets):
    buffered, requests = b"", []
    for piece in cut(data, offsets):
        decoded, buffered, needed = resp.decode(buffered + piece)
        requests += decoded
        assert needed > len(buffered)
    return requests, buffered


@settings(max_examples=300, deadline=None)
@given(st.lists(arguments, max_size=6), st.lists(st.integers(0, 500), max_size=6))
def test_requests_are_decoded_wherever_the_stream_is_cut(requests, offsets):
    data = b"".join(map(encode, requests))
    assert decode_in_pieces(data, offsets) == (requests, b"")


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=100) | st.text("*$0123456789\r\n-aSETG", max_size=60).map(str.encode))
def test_any_bytes_are_requests_incomplete_or_refused(data):
    try:
        requests, rest, needed = resp.decode(data)
    except resp.BadRequest as error:
        assert isinstance(error.requests, list)
        return
    assert all(requests)
    assert data.endswith(rest)
    assert needed > 0


pairs = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    pairs,
    st.binary(max_size=3),
    st.integers(0, 200),
    st.sampled_from([b"", b"\r", b"\n", b"$", b"9"]),
)
def test_decode_sets_agrees_with_the_slow_decoder_or_returns_none(pairs, tail, offset, noise):
    data = b"".join(record.encode_set(key, value) for key, value in pairs) + tail
    offset %= len(data) + 1
    for stream in (data, data[:offset] + noise + data[offset:]):
        sets = resp.decode_sets(stream)
        if sets is not None:
            requests = [[b"SET", *pair] for pair in zip(*sets, strict=True)]
            assert resp.decode(stream)[:2] == (requests, b"")


def fixed_size(key_size, value_size):
    key, value = (st.binary(min_size=size, max_size=size) for size in (key_size, value_size))
    return st.lists(st.tuples(key, value), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 3).flatmap(lambda size: fixed_size(size, 12 - 4 * size)) | pairs,
    st.integers(0, 200),
    st.integers(0, 1),
    st.sampled_from([b"", b"\r\n", b"$", b"0", b"*"]),
)
def test_decode_equal_sets_reads_equal_lengths_and_agrees_with_the_slow_decoder(
    pairs, offset, removed, noise
):
    data = b"".join(record.encode_set(key, value) for key, value in pairs)
    offset %= len(data)
    found = resp.decode_equal_sets(data)
    if len({(len(key), len(value)) for key, value in pairs}) == 1:
        assert list(found) == pairs
    else:
        assert found is None
    changed = data[:offset] + noise + data[offset + removed :]
    found = resp.decode_equal_sets(changed)
    if found is not None:
        requests = [[b"SET", *pair] for pair in found]
        assert resp.decode(changed)[:2] == (requests, b"")


@settings(max_examples=500, deadline=None)
@given(st.text("*$0123\r\nSET", max_size=40).map(str.encode))
def test_decode_equal_sets_agrees_with_the_slow_decoder_on_any_bytes(rest):
    data = resp.SET_START + rest
    found = resp.decode_equal_sets(data)
    if found is not None:
        requests = [[b"SET", *pair] for pair in found]
        assert resp.decode(data)[:2] == (requests, b"")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(max_size=8), min_size=1, max_size=8),
    st.integers(0, 200),
    st.sampled_from([b"", b"\r\n", b"4"]),
)
def test_decode_gets_agrees_with_the_slow_decoder_or_returns_none(keys, offset, noise):
    data = b"".join(encode([b"GET", key]) for key in keys)
    offset %= len(data) + 1
    for stream in (data, data[:offset] + noise + data[offset:]):
        found = resp.decode_gets(stream)
        if found is not None:
            assert resp.decode(stream)[:2] == ([[b"GET", key] for key in found], b"")


class MemoryEngine:
    """The part of an engine that a session uses, without files."""

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


def session(is_leader=True):
    values = {"is_leader": is_leader, "leader": ("h", 1), "host": "h", "fsync": "never"}
    settings = type("Settings", (), values)
    return RespSession(StoreNode(settings, MemoryEngine(), None), lambda *_: None)


def answers(session, data):
    replies = session.feed(data)
    if isinstance(replies, bytes):
        return replies
    return b"".join(reply for reply in replies if reply is not CLOSE)


request_lists = st.lists(
    st.one_of(
        st.tuples(st.just(b"SET"), st.sampled_from([b"a", b"b"]), st.binary(max_size=6)),
        st.tuples(st.just(b"GET"), st.sampled_from([b"a", b"b", b"c"])),
        st.tuples(st.just(b"DEL"), st.sampled_from([b"a", b"b"])),
        st.builds(lambda expected: (b"SET", b"a", b"2", b"ifeq", expected), st.just(b"2")),
        st.just((b"SET", b"a", b"2", b"ifeq", b"")),
        st.tuples(st.just(b"PING")),
    ),
    max_size=10,
)


@settings(max_examples=200, deadline=None)
@given(request_lists, st.lists(st.integers(0, 500), max_size=4))
def test_a_pipeline_gets_the_replies_of_single_requests(requests, offsets):
    single, piped, in_pieces = session(), session(), session()
    data = b"".join(map(encode, requests))
    expected = b"".join(answers(single, encode(request)) for request in requests)
    assert answers(piped, data) == expected if data else True
    got = b"".join(answers(in_pieces, piece) for piece in cut(data, offsets) if piece)
    assert got == expected


@pytest.mark.parametrize(
    ("request_arguments", "reply"),
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
def test_replies(request_arguments, reply):
    assert answers(session(), encode(request_arguments)) == reply


@pytest.mark.parametrize(
    "wrong",
    [
        [b"SET", b"k"],
        [b"GET"],
        [b"FLUSHALL"],
        [b"SET", b"k", b"v", b"NX"],
        [b"SET", b"k" * 2000, b"v"],
    ],
)
def test_wrong_requests_are_errors_and_the_next_is_answered(wrong):
    got = answers(session(), encode(wrong) + encode([b"PING"]))
    assert got.startswith(b"-ERR ")
    assert got.endswith(b"\r\n+PONG\r\n")


def test_a_follower_answers_readonly_and_names_its_leader():
    reply = answers(session(is_leader=False), encode([b"SET", b"k", b"v"]))
    assert reply == b"-READONLY read-only, leader is on port 1\r\n"


def test_compare_and_set_as_in_redis():
    client = session()
    requests = [
        [b"SET", b"k", b"old"],
        [b"SET", b"k", b"new", b"IFEQ", b"old"],
        [b"SET", b"k", b"x", b"IFEQ", b"old"],
        [b"GET", b"k"],
    ]
    got = b"".join(answers(client, encode(request)) for request in requests)
    assert got == b"+OK\r\n+OK\r\n$-1\r\n$3\r\nnew\r\n"


def connect(store):
    return socket.create_connection(("127.0.0.1", store.port), timeout=180)


def peek(sock):
    return sock.recv(100, socket.MSG_PEEK)


def test_both_protocols_share_one_port_and_one_state(new_store):
    store = new_store()
    with connect(store) as sock:
        sock.sendall(encode([b"SET", b"k", b"v"]) + b"GET k\r\nPING\r\n")
        eventually(lambda: peek(sock), lambda data: data.endswith(b"PONG\r\n"))
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
        eventually(lambda: peek(lines), lambda data: data.endswith(b"w\n"))
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
def test_a_wrong_stream_gets_an_error_and_is_closed(new_store, breach):
    store = new_store()
    with connect(store) as sock, store.client() as ask:
        sock.sendall(encode([b"PING"]) + breach)
        got = b""
        while data := sock.recv(1000):
            got += data
        assert got.startswith(b"+PONG\r\n-ERR Protocol error: ")
        assert ask("PING") == "PONG"


def test_a_value_of_a_megabyte_is_stored_and_read(new_store):
    store, value = new_store(), bytes(range(256)) * 4096
    with connect(store) as sock:
        sock.sendall(encode([b"SET", b"big", value]))
        assert sock.recv(100) == b"+OK\r\n"
        sock.sendall(encode([b"GET", b"big"]))
        expected, got = resp.encode_bulk(value), b""
        while len(got) < len(expected):
            got += sock.recv(1 << 20)
        assert got == expected
