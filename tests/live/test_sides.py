"""The sides of a partition, out of the words of a command."""

from __future__ import annotations

import pytest

from kvsim.errors import UsageError
from kvsim.live.sides import flows, sides

NODES = ("n1", "n2", "n3")


def meant(words) -> tuple[str, ...]:
    """As a cluster whose leader is n1 would have it."""
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
def test_sides_are_parted_by_a_slash_or_a_bar(words, found):
    assert sides(words, NODES, meant) == found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["n1", "/"], "a side is empty"),
        (["/", "n1"], "a side is empty"),
        (["n1", "/", "n1", "n2"], "n1 cannot be on two sides"),
        (["n1", "n2", "n3"], "nobody is left for the other side"),
    ],
)
def test_sides_that_mean_nothing_are_told(words, says):
    with pytest.raises(UsageError, match=says):
        sides(words, NODES, meant)


def test_whatever_is_sent_across_is_meant_both_ways():
    assert set(flows([("n1",), ("n2", "n3")])) == {("n1", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", "n1")}
