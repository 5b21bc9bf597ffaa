"""The codecs: any bytes, split anywhere, never crash, and a reply always ends at the same byte."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kvsim.client.codec import Decoder, Malformed, Oversize, ReplyFrame
from kvsim.client.frame_layout import ANY, FrameDecoder, FrameField, FrameLayout, simple_layout
from kvsim.client.frame_layout import encode as encode_frame
from kvsim.client.protocols.lines import LineDecoder, LineFraming
from kvsim.client.protocols.resp import RespDecoder
from kvsim.client.protocols.resp import encode as encode_resp
from kvsim.client.templates import Unsendable

LIMIT = 2000
MEMCACHED = LineFraming(
    b"\r\n",
    until=re.compile(rb"^(END|ERROR.*)$"),
    counted=re.compile(rb"^VALUE \S+ \d+ (?P<bytes>\d+)$"),
    limit=LIMIT,
)
# https://docs.memcached.org/protocols/binary/
MEMCACHED_BINARY = FrameLayout(
    (
        FrameField(constant=0x80, size=1, reply=0x81),
        FrameField(given="opcode", size=1),
        FrameField(length=("key",), size=2),
        FrameField(length=("extras",), size=1),
        FrameField(constant=0, size=1, reply=ANY),
        FrameField(constant=0, size=2, status=True),
        FrameField(length=("extras", "key", "value"), size=4, byte_order="little"),
        FrameField(request_number=True, size=4),
        FrameField(constant=0, size=8, reply=ANY),
        FrameField(part="extras"),
        FrameField(part="key"),
        FrameField(part="value"),
    )
)
DECODERS: dict[str, Callable[[], Decoder]] = {
    "line": lambda: LineDecoder(LineFraming(limit=LIMIT)),
    "crlf": lambda: LineDecoder(LineFraming(b"\r\n", limit=LIMIT)),
    "sentinel": lambda: LineDecoder(LineFraming(until=re.compile(b"^END$"), limit=LIMIT)),
    "counted": lambda: LineDecoder(MEMCACHED),
    "prompt": lambda: LineDecoder(LineFraming(prompt=b"kv> ", limit=LIMIT)),
    "close": lambda: LineDecoder(LineFraming(close=True, limit=LIMIT)),
    "frame1": lambda: FrameDecoder(simple_layout(1, limit=LIMIT)),
    "frame4": lambda: FrameDecoder(simple_layout(4, "little", True, limit=LIMIT)),
    "header": lambda: FrameDecoder(replace(MEMCACHED_BINARY, limit=LIMIT)),
    "resp": lambda: RespDecoder(LIMIT),
}
TOKENS = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b"END",
        b"kv> ",
        b"VALUE k 0 3\r\n",
        b"$3\r\n",
        b"*2\r\n",
        b"+OK\r\n",
        b"-1",
        b"\x00\x04",
        b"$-1\r\n",
    ]
)
STREAMS = st.lists(st.one_of(TOKENS, st.binary(max_size=12)), max_size=12).map(b"".join)


def run(decoder: Decoder, data: bytes, cuts: list[int]) -> tuple[ReplyFrame | str | None, bytes]:
    """The result of a decoder that gets `data` in pieces, and the bytes not consumed."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, stop in itertools.pairwise(edges):
            reply = decoder.feed(data[start:stop])
            if reply is not None:
                return reply, reply.rest + data[stop:]
        return decoder.finish(), b""
    except (Malformed, Oversize) as error:
        return type(error).__name__, b""


@pytest.mark.parametrize("kind", DECODERS)
@given(data=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_a_reply_does_not_depend_on_where_bytes_are_split(kind, data, cuts):
    whole, rest = run(DECODERS[kind](), data, [])
    pieces, rest_of_pieces = run(DECODERS[kind](), data, cuts)
    if isinstance(whole, ReplyFrame) and isinstance(pieces, ReplyFrame):
        assert (whole.text, whole.extracted, rest) == (
            pieces.text,
            pieces.extracted,
            rest_of_pieces,
        )
    else:
        assert whole == pieces


@pytest.mark.parametrize("kind", [kind for kind in DECODERS if kind != "close"])
@given(data=STREAMS)
def test_a_reply_and_its_rest_are_all_the_bytes(kind, data):
    reply, _ = run(DECODERS[kind](), data, list(range(len(data))))
    again, rest = run(DECODERS[kind](), data, [])
    if isinstance(reply, ReplyFrame):
        consumed = data[: len(data) - len(rest)]
        assert run(DECODERS[kind](), consumed, [])[0].text == again.text
        assert not isinstance(run(DECODERS[kind](), consumed[:-1], [])[0], ReplyFrame)


@given(
    line=st.binary(max_size=50).filter(lambda data: b"\n" not in data), more=st.binary(max_size=20)
)
def test_a_line_is_a_line(line, more):
    reply = LineDecoder(LineFraming()).feed(line + b"\n" + more)
    assert (reply.text, reply.rest) == (line, more)


@given(value=st.binary(max_size=60), more=st.binary(max_size=20))
def test_a_counted_value_may_hold_anything(value, more):
    data = b"VALUE k 0 %d\r\n%b\r\nEND\r\n" % (len(value), value)
    reply = LineDecoder(MEMCACHED).feed(data + more)
    assert (reply.text, reply.rest) == (data.removesuffix(b"\r\n"), more)
    assert reply.extracted == {"value": value.decode("utf-8", "surrogateescape")}


def test_a_prompt_ends_a_reply_only_where_a_line_begins():
    decoder = LineDecoder(LineFraming(prompt=b"> "))
    assert decoder.feed(b"a > b\n>") is None
    assert decoder.feed(b" ").text == b"a > b"


def test_a_reply_that_ends_with_the_connection():
    decoder = LineDecoder(LineFraming(close=True))
    assert decoder.feed(b"VALUE a\nb\n") is None
    assert decoder.finish() == ReplyFrame(b"VALUE a\nb", last=True)


@pytest.mark.parametrize("announced", [b"x", b"99999999999999999999", b"-2", b"3000"])
def test_an_impossible_count_is_malformed(announced):
    framing = LineFraming(counted=re.compile(rb"^LEN (?P<bytes>.*)$"), limit=LIMIT)
    with pytest.raises((Malformed, Oversize)):
        LineDecoder(framing).feed(b"LEN " + announced + b"\n")


@given(
    body=st.binary(max_size=200),
    more=st.binary(max_size=9),
    size=st.sampled_from([1, 2, 4, 8]),
    order=st.sampled_from(["big", "little"]),
    inclusive=st.booleans(),
)
def test_frames_come_back_whole(body, more, size, order, inclusive):
    layout = simple_layout(size, order, inclusive)
    frame = encode_frame(layout, {"body": body})
    assert len(frame) == size + len(body)
    reply = FrameDecoder(layout).feed(frame + more)
    assert (reply.text, reply.rest) == (body, more)


def test_a_body_too_long_for_its_length_is_not_sent():
    with pytest.raises(Unsendable):
        encode_frame(simple_layout(1), {"body": b"x" * 256})


def test_a_frame_shorter_than_its_own_length_is_malformed():
    with pytest.raises(Malformed):
        FrameDecoder(simple_layout(4, "big", True)).feed(b"\0\0\0\3")


# The lengths that may tell how long three parts are, and the fields around them.
LENGTHS = st.sampled_from(
    [
        [("a",), ("b",), ("c",)],
        [("a",), ("a", "b"), ("frame",)],
        [("b", "a"), ("b",), ("rest",)],
        [("a", "b", "c"), ("c",), ("a",)],
    ]
)


@given(
    lengths=LENGTHS,
    sizes=st.lists(st.sampled_from([1, 2, 4, 8]), min_size=5, max_size=5),
    order=st.sampled_from(["big", "little"]),
    parts=st.fixed_dictionaries({name: st.binary(max_size=40) for name in "abc"}),
    number=st.integers(0, 255),
    more=st.binary(max_size=9),
)
def test_any_layout_reads_what_it_writes(lengths, sizes, order, parts, number, more):
    fields = [
        FrameField(length=words, size=size) for words, size in zip(lengths, sizes, strict=False)
    ]
    number_field = FrameField(request_number=True, size=sizes[3])
    fields = [number_field, *fields, FrameField(constant=0xAB, size=sizes[4])]
    layout = FrameLayout((*fields, *(FrameField(part=name) for name in "abc")), order)
    assert layout.mistake() == ""
    frame = encode_frame(layout, parts, number=number)
    other = encode_frame(layout, parts, number=number + 1 & 0xFF)
    reply = FrameDecoder(layout, sent=frame).feed(other + frame + more)
    assert (reply.text, reply.rest) == (b"".join(parts[name] for name in "abc"), more)
    assert reply.skipped == other


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([FrameField(part="body")], "tells how long"),
        (
            [FrameField(length=("a", "b"), size=4), FrameField(part="a"), FrameField(part="b")],
            "`a`",
        ),
        ([FrameField(length=("x",), size=4), FrameField(part="a")], "`length: x` counts no part"),
    ],
)
def test_a_layout_must_tell_where_a_frame_ends(fields, message):
    assert message in FrameLayout(tuple(fields)).mistake()


def test_a_reply_of_memcacheds_binary_protocol():
    head = bytes.fromhex("81 00 0003 04 00 0001 0c000000 00000007 0000000000000009")
    sent = encode_frame(MEMCACHED_BINARY, {"key": b"key"}, {"opcode": 0}, 7)
    reply = FrameDecoder(MEMCACHED_BINARY, sent).feed(head + b"\0\0\0\0" + b"key" + b"value")
    assert (reply.status, reply.extracted, reply.rest) == (1, {"value": "value"}, b"")
    with pytest.raises(Malformed, match="byte 0 of a frame is 0x80, not 0x81"):
        FrameDecoder(MEMCACHED_BINARY).feed(sent)


@pytest.mark.parametrize(
    ("data", "rendered"),
    [
        (b"+OK\r\n", b"+OK"),
        (b"-READONLY You can't write\r\n", b"-READONLY You can't write"),
        (b":1\r\n", b":1"),
        (b"$5\r\nva\r\nl\r\n", b"$va\r\nl"),
        (b"$0\r\n\r\n", b"$"),
        (b"$-1\r\n", b"_"),
        (b"*-1\r\n", b"_"),
        (b"*0\r\n", b"*0"),
        (b"*3\r\n$1\r\na\r\n*1\r\n:2\r\n$-1\r\n", b"*3\n$a\n*1\n:2\n_"),
    ],
)
def test_resp_as_text_that_patterns_can_match(data, rendered):
    reply = RespDecoder(LIMIT).feed(data + b"more")
    assert (reply.text, reply.rest) == (rendered, b"more")


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400\r\n", b"\r\n", b"$x\r\n", b"$1\r\nabc", b"*1\r\n" * 40, b"ERR read-only\n"],
)
def test_bytes_that_are_not_resp_are_malformed_at_once(data):
    with pytest.raises(Malformed):
        RespDecoder(LIMIT).feed(data)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_resp_requests_read_back(words):
    reply = RespDecoder(LIMIT).feed(encode_resp(words))
    assert reply.text == b"\n".join([b"*%d" % len(words), *[b"$" + word for word in words]])
