"""Which nodes are parted from which, by the name of a partition. Pure; draws come from the generator handed in."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from itertools import combinations

Pairs = frozenset[tuple[str, str]]  # unordered: each pair once, in the order of the nodes


def parted(shape: str, nodes: Sequence[str], leader: str | None, rng: random.Random) -> Pairs:
    """The pairs of nodes that cannot reach each other. Raises ValueError, with one line, where the shape means nothing here."""
    if len(nodes) < 2:
        raise ValueError("one node alone cannot be parted")
    return SHAPES[shape](list(nodes), leader, rng)


def across(nodes: Sequence[str], one_side: Collection[str]) -> Pairs:
    """The pairs with one node on each side."""
    pairs = combinations(nodes, 2)
    return frozenset(pair for pair in pairs if (pair[0] in one_side) != (pair[1] in one_side))


def _leader_alone(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    if leader is None:
        raise ValueError("nobody is the leader now, or several are")
    return across(nodes, {leader})


def _one_follower_alone(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    return across(nodes, {rng.choice([node for node in nodes if node != leader])})


def _minority(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    return across(nodes, set(rng.sample(nodes, max(1, (len(nodes) - 1) // 2))))


def _ring(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    """Each node keeps those next to it on a ring, as many as make a majority with itself."""
    order = rng.sample(nodes, len(nodes))
    if (
        len(order) == 3
    ):  # everybody is next to everybody: without one link, two nodes see different majorities
        return _in_order(nodes, {(order[0], order[2])})
    reach = -(-(len(order) // 2) // 2)
    cut = set()
    for one, other in combinations(range(len(order)), 2):
        distance = min(other - one, len(order) - (other - one))
        if distance > reach:
            cut.add((order[one], order[other]))
    return _in_order(nodes, cut)


def _in_order(nodes: Sequence[str], pairs: Collection[tuple[str, str]]) -> Pairs:
    return frozenset(
        (one, other) if nodes.index(one) < nodes.index(other) else (other, one) for one, other in pairs
    )


SHAPES: dict[str, Callable[[list[str], str | None, random.Random], Pairs]] = {
    "leader alone": _leader_alone,
    "one follower alone": _one_follower_alone,
    "minority and majority": _minority,
    "ring of majorities": _ring,
}
