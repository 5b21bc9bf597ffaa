"""Targets are resolved to nodes by the roles that the nodes report when the step runs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.program import Role
from kvsim.config.target import parse_target
from kvsim.runner.roles import RoleObservation
from kvsim.runner.targets import resolve

L, F = Role.LEADER, Role.FOLLOWER


def observed(**nodes: tuple[bool, Role | None]) -> dict[str, RoleObservation]:
    return {
        name: RoleObservation(name, up, role, "reports" if up else "last reported")
        for name, (up, role) in nodes.items()
    }


THREE = observed(n1=(True, L), n2=(True, F), n3=(True, F))


def resolved(words: str, nodes: dict[str, RoleObservation], seed: int = 1) -> tuple[str, ...]:
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
def test_targets_are_resolved(words, nodes):
    assert resolved(words, THREE) == nodes


def test_the_leader_is_the_node_that_reports_it_now():
    assert resolved("leader", observed(n1=(True, F), n2=(True, L), n3=(True, F))) == ("n2",)


def test_a_target_without_a_node_or_with_two_reports_every_role():
    none = resolve(
        parse_target("leader"), observed(n1=(True, F), n2=(True, None)), random.Random(1)
    )
    assert none.nodes == ()
    assert "n1 reports follower" in none.problem
    two = resolve(parse_target("leader"), observed(n1=(True, L), n2=(True, L)), random.Random(1))
    assert "not one node" in two.problem


def test_a_minority_without_any_node_is_a_problem():
    two = resolve(parse_target("minority"), observed(n1=(True, L), n2=(True, F)), random.Random(1))
    assert two.nodes == ()
    assert two.problem == "`minority` of 2 nodes matches no node"


def test_a_node_that_is_down_matches_only_when_no_live_node_has_the_role():
    assert resolved("leader", observed(n1=(False, L), n2=(True, F))) == ("n1",)
    assert resolved("leader", observed(n1=(False, L), n2=(True, L))) == ("n2",)
    assert resolved("each follower", observed(n1=(True, L), n2=(False, F), n3=(True, F))) == ("n3",)


@given(
    st.integers(1, 9),
    st.integers(0, 2**31),
    st.sampled_from(["majority", "minority", "any", "any follower"]),
)
def test_drawn_targets_have_the_right_size_and_follow_the_seed(count, seed, words):
    nodes = observed(
        **{f"n{number}": (True, L if number == 1 else F) for number in range(1, count + 1)}
    )
    sizes = {
        "majority": count // 2 + 1,
        "minority": (count - 1) // 2,
        "any": 1,
        "any follower": min(1, count - 1),
    }
    drawn = resolved(words, nodes, seed)
    assert len(drawn) == len(set(drawn)) == sizes[words]
    assert drawn == resolved(words, nodes, seed)
    assert set(drawn) <= set(nodes)


def test_a_start_prefers_the_nodes_that_are_down():
    one_down = observed(n1=(True, L), n2=(False, F), n3=(True, F))

    def down(words: str) -> tuple[str, ...]:
        return resolve(parse_target(words), one_down, random.Random(1), prefer_up=False).nodes

    assert down("any follower") == down("each follower") == down("each") == ("n2",)
    # No leader is down: the leader that is up matches, and the launcher reports that it runs.
    assert down("leader") == ("n1",)


def followers_at(**positions: tuple[str, str] | None) -> dict[str, RoleObservation]:
    """Followers, each with the term and index that it reports."""
    found = {}
    for name, position in positions.items():
        fields = dict(zip(("term", "index"), position, strict=True)) if position else {}
        found[name] = RoleObservation(name, True, F, "reports", fields=fields)
    return found


@pytest.mark.parametrize(
    ("followers", "node"),
    [
        (followers_at(n2=("1", "558"), n3=("1", "559")), "n3"),
        (followers_at(n2=("2", "9"), n3=("1", "559")), "n2"),
        # Compared as numbers, not as texts.
        (followers_at(n2=("1", "10"), n3=("1", "9")), "n2"),
        (followers_at(n2=None, n3=("1", "0")), "n3"),
        (followers_at(n2=("1", "7"), n3=("1", "7")), "n2"),
    ],
)
def test_the_most_advanced_follower_has_the_highest_term_and_index(followers, node):
    assert resolved("most advanced follower", followers) == (node,)


def test_no_node_is_most_advanced_where_none_reports_its_index():
    found = resolve(parse_target("most advanced follower"), THREE, random.Random(1))
    assert not found.nodes and "`index`" in found.problem
