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


def test_of_two_leaders_the_one_of_the_higher_term_leads_now():
    def leading(term: str) -> dict[str, RoleObservation]:
        return {
            "n1": RoleObservation("n1", True, L, "reports", fields={"term": "4"}, led_in=7),
            "n3": RoleObservation("n3", True, L, "reports", fields={"term": term}, led_in=9),
        }

    assert resolved("leader", leading("5")) == ("n3",)
    assert resolved("old leader", leading("5")) == ("n1",)
    assert "not one node" in resolve(parse_target("leader"), leading("4"), random.Random(1)).problem


def test_the_old_leader_led_last_before_the_one_that_leads_now():
    nodes = {
        "n1": RoleObservation("n1", True, F, "reports", led_in=3),
        "n2": RoleObservation("n2", False, L, "last reported", led_in=8),
        "n3": RoleObservation("n3", True, L, "reports", led_in=9),
    }
    assert resolved("old leader", nodes) == ("n2",)
    only = {name: observed for name, observed in nodes.items() if name == "n3"}
    found = resolve(parse_target("old leader"), only, random.Random(1))
    assert found.problem == "`old leader` matches no node: no other node was the leader in this run"


def test_a_candidate_reports_that_it_is_one():
    def asked(role: str) -> RoleObservation:
        return RoleObservation("n2", True, None, "reports no role", fields={"role": role})

    assert resolved("candidate", {**THREE, "n2": asked("Candidate")}) == ("n2",)
    assert resolved("candidate", {**THREE, "n2": asked("follower")}) == ()


@pytest.mark.parametrize(
    ("words", "node"), [("most advanced", "n3"), ("least advanced", "n2"), ("each", "")]
)
def test_logs_are_compared_by_the_term_of_their_last_entry(words, node):
    """n1 has entered the highest term, and has no entry of it."""

    def logged(name: str, term: str, last_term: str, last_index: str) -> RoleObservation:
        fields = {"term": term, "index": "1", "last_term": last_term, "last_index": last_index}
        return RoleObservation(name, True, F, "reports", fields=fields)

    nodes = {
        "n1": logged("n1", "9", "2", "30"),
        "n2": logged("n2", "3", "2", "20"),
        "n3": logged("n3", "3", "3", "10"),
    }
    assert resolved(words, nodes) == ((node,) if node else ("n1", "n2", "n3"))
