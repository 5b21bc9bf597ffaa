"""A search by a user's pattern ends in time, and finds what Python's `re` finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.patterns import PatternTooSlow, degree, repeats_repetition, search

LONG = "a" * 60 + "!"


@pytest.mark.parametrize(
    "pattern", ["^(.+)+#$", "(a|a)*#", "(a*)*#", "(?:a+b?)+#", r"(\w+\s?)+#", "((a+)+)+#"]
)
def test_a_catastrophic_pattern_ends(pattern: str) -> None:
    """Either it is decided in time, or the author is told."""
    try:
        assert search(pattern, LONG) is None
    except PatternTooSlow as error:
        assert "takes longer than" in str(error)


def test_repetitions_in_a_row_end_on_a_long_text() -> None:
    try:
        assert search(".*.*.*.*[bc].*x", "a" * 20_000) is None
    except PatternTooSlow as error:
        assert "20000 characters" in str(error)
    assert search("a.*b", ("a" * 60 + "\n") * 20_000) is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^VALUE (?P<value>.*)$", 1),
        ("ready", 1),
        (r"port (\d+)", 2),
        ("^ERR read-only(?:.*port (?P<leader_port>[0-9]+))?", 2),
        ("(a+)+", float("inf")),
        ("(ab|b)*", float("inf")),
        (r"(?P<q>['\"])x(?P=q)", float("inf")),
        ("[0-9]{1,3}", 1),
        (b"^x*$", 1),
    ],
)
def test_the_steps_of_a_pattern(pattern: str | bytes, expected: float) -> None:
    assert degree(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^(.+)+#$", True),
        ("((?:a+))*", True),
        ("x(?P<n>[0-9]*)*?y", True),
        ("(a|(b+)+)c", True),
        ("(a+b)+", False),
        ("(a|b)*", False),
        ("(a+)?", False),
        ("(a+){2}", False),
        ("a+b*", False),
    ],
)
def test_a_repetition_of_a_repetition(pattern: str, expected: bool) -> None:
    assert repeats_repetition(pattern) is expected


PARTS = st.sampled_from(
    ["a", "b", ".", "a*", "b+", "(a|b)*", "(ab)+?", "^", "$", "(?:a?b)*", "[ab]{1,3}", r"\w"]
)


@given(st.lists(PARTS, max_size=5).map("".join), st.text("ab\n!", max_size=12), st.booleans())
def test_it_finds_what_re_finds(pattern: str, text: str, multiline: bool) -> None:
    expected = re.search(pattern, text, re.MULTILINE if multiline else 0)
    found = search(pattern, text, multiline=multiline)
    assert (found and found.span()) == (expected and expected.span())
