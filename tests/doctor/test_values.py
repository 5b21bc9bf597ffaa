"""What it means that another value came back than the one that was sent."""

from __future__ import annotations

import pytest

from kvsim.doctor.diagnostics.values import _how_changed


@pytest.mark.parametrize(
    ("sent", "read", "meaning"),
    [
        ("two  words", "two", "it is cut at a space"),
        ("vvvvvvvv", "vvvv", "it is cut after 4 characters"),
        ("two  words ", "two words", "white space in it is changed"),
        ("two words ", "two words", "white space in it is changed"),
        ("caf\udce9", "caf\N{REPLACEMENT CHARACTER}", "decoded as text"),
        ("new", "old", "another value is stored"),
        ("new", None, "nothing is stored"),
    ],
)
def test_the_meaning_is_read_from_the_value(sent, read, meaning):
    assert meaning in _how_changed(sent, read)[0]
