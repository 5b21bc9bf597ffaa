"""A storm is drawn from its seed and by weights, and becomes steps of a scenario."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.program import Program, Role
from kvsim.config.scenario import Step
from kvsim.config.scenario_loader import read_steps
from kvsim.config.yaml_nodes import SourceLocation
from kvsim.faults.registry import fault_kinds
from kvsim.runner.registry import REGISTRY
from kvsim.runner.steps.faults import FaultStep
from kvsim.runner.storm import TARGETS, StormStep, schedule

PROGRAM = Program(name="p", folder=Path("/"), start={})
DRAWN = [name for name, kind in fault_kinds().items() if kind.draw]


def cluster_of(size: int, links: str = "proxied", program: Program = PROGRAM) -> Cluster:
    roles = [Role.LEADER, *[Role.FOLLOWER] * (size - 1)]
    nodes = tuple(
        NodeSpec(name=f"n{number}", role=role, program=program, id=number)
        for number, role in enumerate(roles, 1)
    )
    return Cluster("c", Path("/c.yaml"), nodes, links=links)


def storm(**changes) -> StormStep:
    fields = {
        "total_s": 5.0,
        "duration_s": 0.3,
        "interval_s": 0.3,
        "weights": {},
        "target_words": ("leader", "one follower"),
        **changes,
    }
    location = SourceLocation("s.yaml", 1, 1)
    return StormStep(id="1.1", verb="storm", location=location, text="", **fields)


def kinds_of(steps) -> list[str]:
    return [
        next(name for name in step["fault"] if name in DRAWN) for step in steps if "fault" in step
    ]


def read(steps) -> tuple[Step, ...]:
    return read_steps(yaml.safe_dump(steps, sort_keys=False), "storm", "1.", REGISTRY.verbs)


def test_the_same_seed_draws_the_same_storm_and_another_seed_does_not():
    first, second, other = (schedule(storm(), cluster_of(3), seed) for seed in ("1", "1", "2"))
    assert first == second != other


@given(
    st.integers(2, 7),
    st.dictionaries(st.sampled_from(DRAWN), st.integers(1, 5), min_size=1),
    st.lists(st.sampled_from(list(TARGETS)), min_size=1),
    st.text(max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_every_schedule_can_be_read_as_steps(size, weights, words, seed):
    steps = schedule(storm(weights=weights, target_words=words), cluster_of(size), seed)
    assert [step.verb for step in read(steps)] == [next(iter(step)) for step in steps]


def test_a_storm_lasts_about_as_long_as_written():
    steps = schedule(storm(), cluster_of(3), "1")
    spent_ms = sum(int(step["sleep"]["for"][:-2]) for step in steps[:-1] if "sleep" in step)
    spent_ms += sum(
        int(step["fault"]["do"][0]["sleep"]["for"][:-2]) for step in steps if "fault" in step
    )
    assert 5000 <= spent_ms <= 5000 + 2 * 450
    assert "sleep" in steps[0] and "sleep" in steps[-1]


def test_kinds_are_drawn_by_their_weights():
    steps = schedule(storm(total_s=300.0, weights={"kill": 3, "pause": 1}), cluster_of(3), "1")
    counts = Counter(kinds_of(steps))
    assert 2 < counts["kill"] / counts["pause"] < 4.5


@pytest.mark.parametrize(("links", "kinds"), [("direct", {"kill", "pause"}), ("proxied", None)])
def test_links_are_broken_only_where_they_can_be(links, kinds):
    found = set(kinds_of(schedule(storm(total_s=60.0), cluster_of(3, links), "1")))
    assert found == kinds if kinds else {"partition", "delay"} & found


@pytest.mark.parametrize("links", ["direct", "proxied"])
def test_a_storm_names_the_kinds_that_it_may_draw(links):
    drawn = set(kinds_of(schedule(storm(total_s=60.0), cluster_of(3, links), "1")))
    assert drawn <= {kind.name for kind in storm().fault_kinds(links)} | {"blackhole"}


@pytest.mark.parametrize("replicates", [True, False])
def test_evidence_of_link_faults_is_required_where_nodes_replicate(replicates):
    program = replace(PROGRAM, capabilities=frozenset({"replicates"} if replicates else ()))
    weights = {"cut": 1, "partition": 1, "delay": 1}
    steps = read(schedule(storm(weights=weights), cluster_of(3, program=program), "1"))
    evidence = {step.evidence for step in steps if isinstance(step, FaultStep)}
    assert evidence == {"required" if replicates else "optional"}


def test_a_minority_is_less_than_half():
    minorities = storm(total_s=30.0, weights={"kill": 1}, target_words=("minority",))
    steps = schedule(minorities, cluster_of(5), "1")
    assert {len(step["fault"]["kill"]["at"]) for step in steps if "fault" in step} == {2}
