"""Targets become nodes by what the nodes say when the step runs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.program import Role
from kvsim.config.target import parse_target
from kvsim.scenario.roles import RoleSeen
from kvsim.scenario.targets import resolve

L, F = Role.LEADER, Role.FOLLOWER


def seen(**nodes: tuple[bool, Role | None]) -> dict[str, RoleSeen]:
    return {
        name: RoleSeen(name, up, role, "says" if up else "when last seen")
        for name, (up, role) in nodes.items()
    }


THREE = seen(n1=(True, L), n2=(True, F), n3=(True, F))


def who(words: str, nodes: dict[str, RoleSeen], seed: int = 1) -> tuple[str, ...]:
    return resolve(parse_target(words), nodes, random.Random(seed)).nodes


@pytest.mark.parametrize(
    ("words", "nodes"),
    [
        ("leader", ("n1",)),
        ("each follower", ("n2", "n3")),
        ("each", ("n1", "n2", "n3")),
        ("n3", ("n3",)),
        ("n3, n1", ("n3", "n1")),
    ],
)
def test_words_mean_nodes(words, nodes):
    assert who(words, THREE) == nodes


def test_the_leader_is_whoever_says_so_now():
    assert who("leader", seen(n1=(True, F), n2=(True, L), n3=(True, F))) == ("n2",)


def test_a_target_that_is_nobody_or_two_says_what_every_node_said():
    nobody = resolve(parse_target("leader"), seen(n1=(True, F), n2=(True, None)), random.Random(1))
    assert nobody.nodes == ()
    assert "n1 says follower" in nobody.problem
    two = resolve(parse_target("leader"), seen(n1=(True, L), n2=(True, L)), random.Random(1))
    assert "not one node" in two.problem


def test_a_minority_that_is_no_node_is_a_problem_and_not_a_step_at_nobody():
    two = resolve(parse_target("minority"), seen(n1=(True, L), n2=(True, F)), random.Random(1))
    assert two.nodes == ()
    assert two.problem == "`minority` of 2 nodes is nobody"


def test_a_node_that_is_down_is_meant_only_when_no_living_one_has_the_role():
    assert who("leader", seen(n1=(False, L), n2=(True, F))) == ("n1",)
    assert who("leader", seen(n1=(False, L), n2=(True, L))) == ("n2",)
    assert who("each follower", seen(n1=(True, L), n2=(False, F), n3=(True, F))) == ("n3",)


@given(
    st.integers(1, 9), st.integers(0, 2**31), st.sampled_from(["majority", "minority", "any", "any follower"])
)
def test_drawn_targets_have_the_right_size_and_follow_the_seed(count, seed, words):
    nodes = seen(**{f"n{number}": (True, L if number == 1 else F) for number in range(1, count + 1)})
    sizes = {
        "majority": count // 2 + 1,
        "minority": (count - 1) // 2,
        "any": 1,
        "any follower": min(1, count - 1),
    }
    picked = who(words, nodes, seed)
    assert len(picked) == len(set(picked)) == sizes[words]
    assert picked == who(words, nodes, seed)
    assert set(picked) <= set(nodes)


def test_a_start_means_the_nodes_that_are_down():
    one_down = seen(n1=(True, L), n2=(False, F), n3=(True, F))

    def down(words: str) -> tuple[str, ...]:
        return resolve(parse_target(words), one_down, random.Random(1), up=False).nodes

    assert down("any follower") == down("each follower") == down("each") == ("n2",)
    assert down("leader") == (
        "n1",
    )  # none of the role is down: whoever has it, and the launcher says that it is up


def told(**places: tuple[str, str] | None) -> dict[str, RoleSeen]:
    """Followers, each with the epoch and index it names."""
    return {
        name: RoleSeen(name, True, F, "says", fields=dict(zip(("epoch", "index"), place or (), strict=False)))
        for name, place in places.items()
    }


@pytest.mark.parametrize(
    ("followers", "node"),
    [
        (told(n2=("1", "558"), n3=("1", "559")), "n3"),
        (told(n2=("2", "9"), n3=("1", "559")), "n2"),
        (told(n2=("1", "10"), n3=("1", "9")), "n2"),  # as numbers
        (told(n2=None, n3=("1", "0")), "n3"),
        (told(n2=("1", "7"), n3=("1", "7")), "n2"),
    ],
)
def test_the_most_advanced_follower_is_the_one_to_promote(followers, node):
    assert who("most advanced follower", followers) == (node,)


def test_nobody_is_most_advanced_where_nobody_says_how_far_it_is():
    found = resolve(parse_target("most advanced follower"), THREE, random.Random(1))
    assert not found.nodes and "`index`" in found.problem
