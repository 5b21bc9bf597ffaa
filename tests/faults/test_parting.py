"""Partitions by name part whom they say, for every size of cluster."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.faults.links.parting import parted

SIZES = st.integers(2, 9)


def nodes_of(size: int) -> list[str]:
    return [f"n{place}" for place in range(size)]


def reached(node: str, nodes: list[str], pairs) -> set[str]:
    cut = {other for pair in pairs if node in pair for other in pair}
    return {other for other in nodes if other == node or other not in cut}


@given(SIZES, st.integers())
def test_the_leader_stands_alone(size, seed):
    nodes = nodes_of(size)
    pairs = parted("leader alone", nodes, "n1", random.Random(seed))
    assert reached("n1", nodes, pairs) == {"n1"}
    assert all(reached(node, nodes, pairs) == set(nodes) - {"n1"} for node in nodes if node != "n1")


@given(SIZES, st.integers())
def test_a_follower_stands_alone(size, seed):
    nodes = nodes_of(size)
    pairs = parted("one follower alone", nodes, "n0", random.Random(seed))
    alone = [node for node in nodes if reached(node, nodes, pairs) == {node}]
    assert alone and (alone != ["n0"])


@given(st.integers(3, 9), st.integers())
def test_a_minority_is_parted_from_a_majority(size, seed):
    nodes = nodes_of(size)
    pairs = parted("minority and majority", nodes, None, random.Random(seed))
    sides = {frozenset(reached(node, nodes, pairs)) for node in nodes}
    small, big = sorted(sides, key=len)
    assert len(small) < size / 2 < len(big) and small | big == set(nodes)


@given(st.integers(3, 9), st.integers())
def test_on_a_ring_each_reaches_a_majority_and_not_all_the_same(size, seed):
    nodes = nodes_of(size)
    pairs = parted("ring of majorities", nodes, None, random.Random(seed))
    views = [frozenset(reached(node, nodes, pairs)) for node in nodes]
    assert all(len(view) > size / 2 for view in views) and len(set(views)) > 1
    assert pairs <= set(combinations(nodes, 2))


def test_what_means_nothing_is_said():
    with pytest.raises(ValueError, match="nobody is the leader"):
        parted("leader alone", nodes_of(3), None, random.Random(1))
    with pytest.raises(ValueError, match="one node alone"):
        parted("leader alone", ["n1"], "n1", random.Random(1))
