"""Recorded words come back from YAML and templates as they were typed."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kvsim.config.scenario_file import read_steps
from kvsim.config.template import render
from kvsim.errors import UsageError
from kvsim.live.parting import Parting, item
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
        ("partition n1 / n2 n3", ("partition", "n1 / n2 n3", [])),
        ("heal", ("heal", "", [])),
        ("kill leader", ("kill", "leader", [])),
        ('put leader k "a b"', ("put", "leader", ["k", "a b"])),
    ],
)
def test_fields_are_counted_from_the_end(line, meant):
    assert _parsed(line) == meant


@pytest.mark.parametrize("line", ["frob n1", "put n1 k", "get", "put 'n1 k v", "heal n1", "partition"])
def test_words_that_mean_nothing_are_told(line):
    with pytest.raises(UsageError):
        _parsed(line)


def test_a_parting_with_its_steps_reads_as_the_fault_that_holds_them():
    outer = Parting(None, [("n1",), ("n2", "n3")], ["put: {at: n1, key: k, value: v, expect: ok}"])
    inner = Parting(None, [("client",), ("n2",)], ["kill: n2"])
    outer._took_ms, inner._took_ms = 100, 0
    outer.steps.append(inner.as_step())
    (step,) = read_steps(item(outer.as_step(), ""), "recorded", "1.")
    assert (step.verb, [held.verb for held in step.steps]) == ("fault", ["sleep", "put", "fault"])
    assert step.steps[0].fields["for"] == pytest.approx(0.7)
    assert step.steps[2].fields["blackhole"]["from"] == "client"
    assert [held.verb for held in step.steps[2].steps] == ["sleep", "kill"]


def test_nothing_done_is_an_empty_scenario():
    assert Recording("mine", "t", "cluster.yaml").text().endswith("steps:\n")
