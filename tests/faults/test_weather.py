"""A storm is its seed's: drawn alike, in the ordinary language, with weights, quiet times and nobody it was not to hit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.program import Program, Role
from kvsim.config.scenario_file import read_steps
from kvsim.config.storm_words import IN_STORMS, VICTIMS
from kvsim.scenario.weather import schedule

PROGRAM = Program("p", Path("/"), {})


def cluster_of(size: int, links: str = "proxied") -> Cluster:
    roles = [Role.LEADER, *[Role.FOLLOWER] * (size - 1)]
    nodes = tuple(NodeSpec(f"n{place}", role, PROGRAM, place) for place, role in enumerate(roles, 1))
    return Cluster("c", Path("/c.yaml"), nodes, links=links)


def words(**changes):
    return {
        "for": 5.0,
        "last": 0.3,
        "quiet": 0.3,
        "faults": None,
        "hits": ("leader", "one follower"),
        **changes,
    }


def kinds_of(steps) -> list[str]:
    return [next(name for name in step["fault"] if name in IN_STORMS) for step in steps if "fault" in step]


def test_one_seed_draws_alike_and_another_otherwise():
    one, again, other = (schedule(words(), cluster_of(3), seed) for seed in ("1", "1", "2"))
    assert one == again != other


@given(
    st.integers(2, 7),
    st.dictionaries(st.sampled_from(IN_STORMS), st.integers(1, 5), min_size=1),
    st.lists(st.sampled_from(list(VICTIMS)), min_size=1),
    st.text(max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_every_schedule_is_in_the_ordinary_language(size, faults, hits, seed):
    steps = schedule(words(faults=faults, hits=hits), cluster_of(size), seed)
    read = read_steps(yaml.safe_dump(steps, sort_keys=False), "storm", "1.")
    assert [step.verb for step in read] == [next(iter(step)) for step in steps]


def test_times_are_about_what_was_said():
    steps = schedule(words(), cluster_of(3), "1")
    spent_ms = sum(int(step["sleep"]["for"][:-2]) for step in steps[:-1] if "sleep" in step)
    spent_ms += sum(int(step["fault"]["do"][0]["sleep"]["for"][:-2]) for step in steps if "fault" in step)
    assert 5000 <= spent_ms <= 5000 + 2 * 450
    assert "sleep" in steps[0] and "sleep" in steps[-1]


def test_weights_are_kept():
    steps = schedule(words(**{"for": 300.0}, faults={"kill": 3, "pause": 1}), cluster_of(3), "1")
    counts = Counter(kinds_of(steps))
    assert 2 < counts["kill"] / counts["pause"] < 4.5


@pytest.mark.parametrize(("links", "kinds"), [("direct", {"kill", "pause"}), ("proxied", None)])
def test_links_are_broken_only_where_they_can_be(links, kinds):
    found = set(kinds_of(schedule(words(**{"for": 60.0}), cluster_of(3, links), "1")))
    assert found == kinds if kinds else {"partition", "delay"} & found


@pytest.mark.parametrize("replicates", [True, False])
def test_a_fault_of_links_counts_only_with_evidence_where_nodes_talk_all_the_time(replicates):
    talking = replace(PROGRAM, capabilities=frozenset({"replicates"} if replicates else ()))
    cluster = cluster_of(3)
    cluster = replace(cluster, nodes=tuple(replace(node, program=talking) for node in cluster.nodes))
    steps = schedule(words(faults={"cut": 1, "partition": 1, "delay": 1}), cluster, "1")
    read = read_steps(yaml.safe_dump(steps, sort_keys=False), "storm", "1.")
    receipts = {step.fields["receipt"] for step in read if step.verb == "fault"}
    assert receipts == {"required" if replicates else "optional"}


def test_a_minority_is_less_than_half():
    steps = schedule(words(**{"for": 30.0}, faults={"kill": 1}, hits=("minority",)), cluster_of(5), "1")
    assert {len(step["fault"]["kill"]["at"]) for step in steps if "fault" in step} == {2}
