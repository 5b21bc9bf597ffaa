"""The sides of a partition, from the words of a command."""

from __future__ import annotations

import pytest

from kvsim.errors import UsageError
from kvsim.network.partitions import flows_between, parse_sides

NODES = ("n1", "n2", "n3")


def resolve(words) -> tuple[str, ...]:
    """As in a cluster whose leader is n1."""
    return ("n1",) if words == ["leader"] else tuple(words)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["n1", "/", "n2", "n3"], [("n1",), ("n2", "n3")]),
        (["n1", "|", "n2"], [("n1",), ("n2",)]),
        (["n1/n2,n3"], [("n1",), ("n2", "n3")]),
        (["n1 | n2 | n3"], [("n1",), ("n2",), ("n3",)]),
        (["leader"], [("n1",), ("n2", "n3")]),
        (["client", "/", "n2"], [("client",), ("n2",)]),
    ],
)
def test_sides_are_separated_by_a_slash_or_a_bar(words, found):
    assert parse_sides(words, NODES, resolve) == found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["n1", "/"], "a side is empty"),
        (["/", "n1"], "a side is empty"),
        (["n1", "/", "n1", "n2"], "n1 cannot be on two sides"),
        (["n1", "n2", "n3"], "all nodes are on this side"),
    ],
)
def test_impossible_sides_are_errors(words, message):
    with pytest.raises(UsageError, match=message):
        parse_sides(words, NODES, resolve)


def test_flows_between_sides_have_both_directions():
    assert set(flows_between([("n1",), ("n2", "n3")])) == {
        ("n1", "n2"),
        ("n1", "n3"),
        ("n2", "n1"),
        ("n3", "n1"),
    }
