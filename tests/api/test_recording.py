"""A recorded session is a scenario with the values as they were typed."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kvsim.api.recording import Partition, Recording, _parse, _quote, list_item
from kvsim.config.scenario_loader import read_steps
from kvsim.config.template import render
from kvsim.errors import UsageError
from kvsim.runner.registry import REGISTRY
from kvsim.runner.steps.faults import FaultStep

PUT = "put: {at: n1, key: k, value: v, expect: ok}"
# What can be typed on one line and sent as a value.
TYPED = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1
).filter(lambda text: "{{" not in text and "}}" not in text)


@given(TYPED)
@example("on")
@example("012")
@example("{c}")
@example("{0}")
@example("{a-b.c}{{d}}")
@example("a: b # c")
@example("'\"\\")
def test_a_value_is_read_again_as_it_was_typed(text):
    read = yaml.safe_load(f"- put: {{value: {_quote(text)}}}")[0]["put"]["value"]
    assert render(read, {}) == text


@pytest.mark.parametrize(
    ("line", "expected"),
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
def test_fields_are_counted_from_the_end(line, expected):
    assert _parse(line) == expected


@pytest.mark.parametrize(
    "line", ["frob n1", "put n1 k", "get", "put 'n1 k v", "heal n1", "partition"]
)
def test_unknown_words_are_errors(line):
    with pytest.raises(UsageError):
        _parse(line)


def test_a_partition_is_read_again_as_a_fault_with_its_steps_inside():
    outer = Partition(None, [("n1",), ("n2", "n3")], [PUT])
    inner = Partition(None, [("client",), ("n2",)], ["kill: n2"])
    outer._traffic_ms, inner._traffic_ms = 100, 0
    outer.steps.append(inner.as_step())
    (step,) = read_steps(list_item(outer.as_step(), ""), "recorded", "1.", REGISTRY.verbs)
    assert step.verb == "fault"
    assert [inner.verb for inner in step.steps] == ["sleep", "put", "fault"]
    sleep, _, fault = step.steps
    assert sleep.lasts_s() == pytest.approx(0.7)
    assert isinstance(fault, FaultStep)
    assert (fault.kind.name, fault.settings.source) == ("blackhole", "client")
    assert [inner.verb for inner in fault.steps] == ["sleep", "kill"]


def test_no_commands_make_an_empty_scenario():
    assert Recording("mine", "t", "cluster.yaml").text().endswith("steps:\n")
