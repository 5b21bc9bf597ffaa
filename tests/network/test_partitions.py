"""Named partitions separate the nodes that they name, for every size of cluster."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.network.partitions import separated_pairs

SIZES = st.integers(2, 9)


def nodes_of(size: int) -> list[str]:
    return [f"n{index}" for index in range(size)]


def reachable(node: str, nodes: list[str], pairs) -> set[str]:
    cut = {other for pair in pairs if node in pair for other in pair}
    return {other for other in nodes if other == node or other not in cut}


@given(SIZES, st.integers())
def test_the_leader_is_alone(size, seed):
    nodes = nodes_of(size)
    pairs = separated_pairs("leader alone", nodes, "n1", random.Random(seed))
    assert reachable("n1", nodes, pairs) == {"n1"}
    assert all(
        reachable(node, nodes, pairs) == set(nodes) - {"n1"} for node in nodes if node != "n1"
    )


@given(SIZES, st.integers())
def test_a_follower_is_alone(size, seed):
    nodes = nodes_of(size)
    pairs = separated_pairs("one follower alone", nodes, "n0", random.Random(seed))
    alone = [node for node in nodes if reachable(node, nodes, pairs) == {node}]
    assert alone and (alone != ["n0"])


@given(st.integers(3, 9), st.integers())
def test_a_minority_is_separated_from_a_majority(size, seed):
    nodes = nodes_of(size)
    pairs = separated_pairs("minority and majority", nodes, None, random.Random(seed))
    sides = {frozenset(reachable(node, nodes, pairs)) for node in nodes}
    small, big = sorted(sides, key=len)
    assert len(small) < size / 2 < len(big) and small | big == set(nodes)


@given(st.integers(3, 9), st.integers())
def test_on_a_ring_each_reaches_a_majority_and_not_all_the_same(size, seed):
    nodes = nodes_of(size)
    pairs = separated_pairs("ring of majorities", nodes, None, random.Random(seed))
    views = [frozenset(reachable(node, nodes, pairs)) for node in nodes]
    assert all(len(view) > size / 2 for view in views) and len(set(views)) > 1
    assert pairs <= set(combinations(nodes, 2))


def test_an_impossible_partition_is_an_error():
    with pytest.raises(ValueError, match="there is no leader now"):
        separated_pairs("leader alone", nodes_of(3), None, random.Random(1))
    with pytest.raises(ValueError, match="one node alone"):
        separated_pairs("leader alone", ["n1"], "n1", random.Random(1))
