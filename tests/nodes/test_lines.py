"""The line protocol: any bytes, cut anywhere, give the same lines; wrong lines are explained."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvstore import json_encode, limits, lines


def cut(data, offsets):
    cuts = [0, *sorted({offset % (len(data) + 1) for offset in offsets}), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


bytes_with_newlines = st.lists(st.binary(max_size=12) | st.just(b"\n"), max_size=30).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(bytes_with_newlines, st.lists(st.integers(0, 400), max_size=6))
def test_where_the_stream_is_cut_changes_nothing(data, offsets):
    whole, pieces = lines.LineDecoder(16), lines.LineDecoder(16)
    expected = [line if len(line) <= 16 else None for line in data.split(b"\n")[:-1]]
    got = [line for piece in cut(data, offsets) for line in pieces.feed(piece)]
    if None not in expected and len(data.split(b"\n")[-1]) <= 16:
        assert got == expected == whole.feed(data)
    else:
        # a line that is too long may be reported before its end has arrived
        complete = [line for line in expected if line is not None]
        assert [line for line in got if line is not None] == complete
        assert got.count(None) in (expected.count(None), expected.count(None) + 1)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_any_line_is_a_request_or_an_explained_error(data):
    try:
        verb, arguments = lines.decode(data)
    except lines.BadLine as error:
        assert "\n" not in str(error)
    else:
        assert verb in lines.VERBS
        key = arguments[0] if verb in lines.WITH_KEY else b"k"
        assert key and not set(key) & set(b" \t\r\n\x0b\x0c")


@pytest.mark.parametrize(
    ("line", "verb", "arguments"),
    [
        (b"PUT k v", b"PUT", [b"k", b"v"]),
        (b"put k  two  words ", b"PUT", [b"k", b" two  words "]),
        (b"PUT k ", b"PUT", [b"k", b""]),
        (b"Get k\r", b"GET", [b"k"]),
        (b"PING", b"PING", []),
        (b"WAIT 7 100", b"WAIT", [b"7", b"100"]),
        (b"cas k 3 old new", b"CAS", [b"k", b"3", b"old", b"new"]),
        (b"CAS k 5 o l d  n", b"CAS", [b"k", b"5", b"o l d", b" n"]),
        (b"CAS k 0  ", b"CAS", [b"k", b"0", b"", b""]),
        ("PUT ключ значение".encode(), b"PUT", ["ключ".encode(), "значение".encode()]),
    ],
)
def test_good_lines(line, verb, arguments):
    assert lines.decode(line) == (verb, arguments)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "unknown request ''"),
        (b"FETCH k", "unknown request 'FETCH'"),
        (b"PUT k", "PUT key value"),
        (b"PUT  v", "no white space and is not empty"),
        (b"GET", "GET key"),
        (b"GET a b", "wrong arguments for GET; usage: GET key"),
        (b"PING x", "wrong arguments for PING; usage: PING"),
        (b"GET a\tb", "no white space"),
        (b"CAS k old new", "CAS key size expected value"),
        (b"CAS k 4 old new", "CAS key size expected value"),
        (b"CAS k 3 old", "CAS key size expected value"),
        (b"CAS k -1 old new", "CAS key size expected value"),
        (b"PUT k \xff", "not UTF-8"),
        (b"GET " + b"k" * 2000, "at most 1024 fit"),
        (b"PUT k " + b"v" * (limits.VALUE_BYTES_MAX + 1), "at most 1048576 fit"),
    ],
)
def test_a_wrong_line_is_explained(line, message):
    with pytest.raises(lines.BadLine) as caught:
        lines.decode(line)
    assert message in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
@settings(max_examples=100, deadline=None)
def test_encoded_json_is_json(value):
    import json

    assert json.loads(json_encode.encode({"name": value})) == {"name": value}
