"""The pure codecs: any bytes, split anywhere, never crash and never cut a reply at another place."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.codec import Decoder, Malformed, Oversize, Reply
from kvsim.client.frames import FrameDecoder
from kvsim.client.frames import Framing as FrameFraming
from kvsim.client.frames import encode as encode_frame
from kvsim.client.lines import Framing, LineDecoder
from kvsim.client.resp import RespDecoder
from kvsim.client.resp import encode as encode_resp
from kvsim.client.templates import Unsendable

LIMIT = 2000
MEMCACHED = Framing(
    b"\r\n",
    until=re.compile(rb"^(END|ERROR.*)$"),
    counted=re.compile(rb"^VALUE \S+ \d+ (?P<bytes>\d+)$"),
    limit=LIMIT,
)
DECODERS: dict[str, Callable[[], Decoder]] = {
    "line": lambda: LineDecoder(Framing(limit=LIMIT)),
    "crlf": lambda: LineDecoder(Framing(b"\r\n", limit=LIMIT)),
    "sentinel": lambda: LineDecoder(Framing(until=re.compile(b"^END$"), limit=LIMIT)),
    "counted": lambda: LineDecoder(MEMCACHED),
    "prompt": lambda: LineDecoder(Framing(prompt=b"kv> ", limit=LIMIT)),
    "close": lambda: LineDecoder(Framing(close=True, limit=LIMIT)),
    "frame1": lambda: FrameDecoder(FrameFraming(1, limit=LIMIT)),
    "frame4": lambda: FrameDecoder(FrameFraming(4, "little", True, limit=LIMIT)),
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


def run(decoder: Decoder, data: bytes, cuts: list[int]) -> tuple[Reply | str | None, bytes]:
    """What the decoder makes of `data` handed over in pieces, and the bytes not consumed."""
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
def test_where_bytes_are_split_never_matters(kind, data, cuts):
    whole, rest = run(DECODERS[kind](), data, [])
    pieces, rest_of_pieces = run(DECODERS[kind](), data, cuts)
    if isinstance(whole, Reply) and isinstance(pieces, Reply):
        assert (whole.text, whole.extracted, rest) == (pieces.text, pieces.extracted, rest_of_pieces)
    else:
        assert whole == pieces


@pytest.mark.parametrize("kind", [kind for kind in DECODERS if kind != "close"])
@given(data=STREAMS)
def test_a_reply_and_its_rest_are_all_the_bytes_there_were(kind, data):
    reply, _ = run(DECODERS[kind](), data, list(range(len(data))))
    again, rest = run(DECODERS[kind](), data, [])
    if isinstance(reply, Reply):
        consumed = data[: len(data) - len(rest)]
        assert run(DECODERS[kind](), consumed, [])[0].text == again.text
        assert not isinstance(run(DECODERS[kind](), consumed[:-1], [])[0], Reply)


@given(line=st.binary(max_size=50).filter(lambda data: b"\n" not in data), more=st.binary(max_size=20))
def test_a_line_is_a_line(line, more):
    reply = LineDecoder(Framing()).feed(line + b"\n" + more)
    assert (reply.text, reply.rest) == (line, more)


@given(value=st.binary(max_size=60), more=st.binary(max_size=20))
def test_a_counted_value_may_hold_anything(value, more):
    data = b"VALUE k 0 %d\r\n%b\r\nEND\r\n" % (len(value), value)
    reply = LineDecoder(MEMCACHED).feed(data + more)
    assert (reply.text, reply.rest) == (data.removesuffix(b"\r\n"), more)
    assert reply.extracted == {"value": value.decode("utf-8", "surrogateescape")}


def test_a_prompt_ends_a_reply_only_where_a_line_begins():
    decoder = LineDecoder(Framing(prompt=b"> "))
    assert decoder.feed(b"a > b\n>") is None
    assert decoder.feed(b" ").text == b"a > b"


def test_a_reply_that_ends_with_the_connection():
    decoder = LineDecoder(Framing(close=True))
    assert decoder.feed(b"VALUE a\nb\n") is None
    assert decoder.finish() == Reply(b"VALUE a\nb", last=True)


@pytest.mark.parametrize("announced", [b"x", b"99999999999999999999", b"-2", b"3000"])
def test_a_count_that_cannot_be_is_refused(announced):
    framing = Framing(counted=re.compile(rb"^LEN (?P<bytes>.*)$"), limit=LIMIT)
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
    framing = FrameFraming(size, order, inclusive)
    frame = encode_frame(body, framing)
    assert len(frame) == size + len(body)
    reply = FrameDecoder(framing).feed(frame + more)
    assert (reply.text, reply.rest) == (body, more)


def test_a_body_too_long_for_its_length_is_not_sent():
    with pytest.raises(Unsendable):
        encode_frame(b"x" * 256, FrameFraming(1))


def test_a_frame_shorter_than_its_own_length_is_malformed():
    with pytest.raises(Malformed):
        FrameDecoder(FrameFraming(4, "big", True)).feed(b"\0\0\0\3")


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
def test_resp_is_rendered_so_that_patterns_can_tell_it_apart(data, rendered):
    reply = RespDecoder(LIMIT).feed(data + b"more")
    assert (reply.text, reply.rest) == (rendered, b"more")


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400\r\n", b"\r\n", b"$x\r\n", b"$1\r\nabc", b"*1\r\n" * 40, b"ERR read-only\n"]
)
def test_what_is_no_resp_is_malformed_at_once(data):
    with pytest.raises(Malformed):
        RespDecoder(LIMIT).feed(data)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_resp_requests_read_back_as_they_were(words):
    reply = RespDecoder(LIMIT).feed(encode_resp(words))
    assert reply.text == b"\n".join([b"*%d" % len(words), *[b"$" + word for word in words]])
