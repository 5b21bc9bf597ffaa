"""Recorded words come back from YAML and templates as they were typed."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kvsim.config.template import render
from kvsim.errors import UsageError
from kvsim.live.recording import Recording, _parsed, _quoted

# what can be typed on one line and sent as a value
TYPED = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1).filter(
    lambda text: "{{" not in text and "}}" not in text
)


@given(TYPED)
@example("on")
@example("012")
@example("{c}")
@example("a: b # c")
@example("'\"\\")
def test_a_value_comes_back_as_it_was_typed(text):
    read = yaml.safe_load(f"- put: {{value: {_quoted(text)}}}")[0]["put"]["value"]
    assert render(read, {}) == text


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("put each follower k v", ("put", "each follower", ["k", "v"])),
        ("get n2 k", ("get", "n2", ["k"])),
        ("cas leader k old new", ("cas", "leader", ["k", "old", "new"])),
        ("promote any follower", ("promote", "any follower", [])),
        ("kill leader", ("kill", "leader", [])),
        ('put leader k "a b"', ("put", "leader", ["k", "a b"])),
    ],
)
def test_fields_are_counted_from_the_end(line, meant):
    assert _parsed(line) == meant


@pytest.mark.parametrize("line", ["frob n1", "put n1 k", "get", "put 'n1 k v"])
def test_words_that_mean_nothing_are_told(line):
    with pytest.raises(UsageError):
        _parsed(line)


def test_nothing_done_is_an_empty_scenario():
    assert Recording("mine", "t", "cluster.yaml").text().endswith("steps:\n")
