"""Which nodes a partition separates: by the name of its shape, or by the sides of a command.

Pure: random choices come from the generator that the caller passes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Sequence
from itertools import combinations, permutations

from kvsim.config.names import CLIENT
from kvsim.errors import UsageError

# Unordered pairs of nodes: each pair once, in the order of the nodes.
Pairs = frozenset[tuple[str, str]]


def separated_pairs(
    shape: str, nodes: Sequence[str], leader: str | None, rng: random.Random
) -> Pairs:
    """The pairs of nodes that cannot reach each other. `shape`: a key of SHAPES.

    Raises ValueError, with one line, when the shape is not possible here.
    """
    if len(nodes) < 2:
        raise ValueError("one node alone cannot be partitioned")
    return SHAPES[shape](list(nodes), leader, rng)


def pairs_across(nodes: Sequence[str], one_side: Collection[str]) -> Pairs:
    """The pairs with one node on each side."""
    pairs = combinations(nodes, 2)
    return frozenset(pair for pair in pairs if (pair[0] in one_side) != (pair[1] in one_side))


def _leader_alone(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    if leader is None:
        raise ValueError("there is no leader now, or there are several")
    return pairs_across(nodes, {leader})


def _one_follower_alone(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    return pairs_across(nodes, {rng.choice([node for node in nodes if node != leader])})


def _minority(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    return pairs_across(nodes, set(rng.sample(nodes, max(1, (len(nodes) - 1) // 2))))


def _ring(nodes: list[str], leader: str | None, rng: random.Random) -> Pairs:
    """Each node reaches its neighbours on a ring, as many as make a majority with itself."""
    order = rng.sample(nodes, len(nodes))
    # On a ring of three all are neighbours: without one link, two nodes reach different majorities.
    if len(order) == 3:
        return _in_order(nodes, {(order[0], order[2])})
    reach = -(-(len(order) // 2) // 2)
    separated = set()
    for first, second in combinations(range(len(order)), 2):
        distance = min(second - first, len(order) - (second - first))
        if distance > reach:
            separated.add((order[first], order[second]))
    return _in_order(nodes, separated)


def _in_order(nodes: Sequence[str], pairs: Collection[tuple[str, str]]) -> Pairs:
    return frozenset(
        (first, second) if nodes.index(first) < nodes.index(second) else (second, first)
        for first, second in pairs
    )


SHAPES: dict[str, Callable[[list[str], str | None, random.Random], Pairs]] = {
    "leader alone": _leader_alone,
    "one follower alone": _one_follower_alone,
    "minority and majority": _minority,
    "ring of majorities": _ring,
}


SEPARATOR = re.compile(r"[/|]")
Side = tuple[str, ...]


def split_sides(words: Sequence[str]) -> list[list[str]]:
    """The words of each side. `/` separates sides as `|` does, which a shell needs quoted."""
    return [side.replace(",", " ").split() for side in SEPARATOR.split(" ".join(words))]


def parse_sides(
    words: Sequence[str], nodes: Sequence[str], resolve: Callable[[Sequence[str]], Side]
) -> list[Side]:
    """The nodes of each side of a partition, from the words of a command. Raises UsageError.

    All other nodes are the second side when only one side is given. `client` is kvsim's own
    clients.
    """
    parts = split_sides(words)
    if not all(parts):
        raise UsageError("a side is empty; expected, for example: kvsim partition n1 / n2 n3")
    sides: list[Side] = [(CLIENT,) if part == [CLIENT] else resolve(part) for part in parts]
    if len(sides) == 1:
        sides.append(tuple(node for node in nodes if node not in sides[0]))
    twice = [node for node in (CLIENT, *nodes) if sum(node in side for side in sides) > 1]
    if twice:
        raise UsageError(f"{', '.join(twice)} cannot be on two sides")
    if not all(sides):
        raise UsageError(f"{', '.join(sides[0])}: all nodes are on this side, the other is empty")
    return sides


def flows_between(sides: Sequence[Side]) -> tuple[tuple[str, str], ...]:
    """(source, target) of everything that one side sends to another."""
    return tuple(
        (source, target)
        for source_side, target_side in permutations(sides, 2)
        for source in source_side
        for target in target_side
    )
