"""Any bytes become one readable line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.text import escape_surrogates, one_line, printable


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain\n", "plain"),
        (b"windows\r\n", "windows"),
        (
            b"\x1b[1;32mINFO\x1b[0m listening on \x1b]8;;http://x\x1b\\port\x1b]8;;\x1b\\ 9001",
            "INFO listening on port 9001",
        ),
        ("grüße ✓".encode(), "grüße ✓"),
        (b"\xff\xfe bad", "\\xff\\xfe bad"),
        (b"a\tb\x00c\x07\rd", "a\tb\\x00c\\x07\\x0dd"),
        (b"", ""),
    ],
)
def test_readable(raw: bytes, text: str) -> None:
    assert printable(raw) == text


@given(st.binary(max_size=200))
def test_never_a_control_character(raw: bytes) -> None:
    text = printable(raw)
    assert all(letter == "\t" or letter.isprintable() or not letter.isascii() for letter in text)
    assert len(text.splitlines()) <= 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=50))
def test_readable_text_is_left_as_it_is(text: str) -> None:
    assert printable(text.encode() + b"\n") == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one line", "one line"),
        (
            "last lines of a.log:\n    no space\n\n    giving up\n",
            "last lines of a.log: no space | giving up",
        ),
        ("", ""),
    ],
)
def test_several_lines_as_one(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.binary())
def test_any_bytes_of_a_node_can_be_written_as_json_and_are_read_again(raw: bytes) -> None:
    value = raw.decode("utf-8", "surrogateescape")
    written = escape_surrogates(json.dumps(value, ensure_ascii=False)).encode("utf-8")
    assert json.loads(written).encode("utf-8", "surrogateescape") == raw
