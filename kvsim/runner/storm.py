"""The schedule of a storm: from a seed to steps of the ordinary language, as plain values. Pure.

Nodes are named and amounts are written out, so that the schedule does the same again in any
scenario. Only `leader` remains a word: which node leads depends on what the storm has done.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from kvsim.config.cluster import Cluster
from kvsim.config.fault_schema import FaultKind, StormDraw
from kvsim.config.node_states import NodeStates
from kvsim.config.program import Role
from kvsim.config.scenario import Step
from kvsim.faults.registry import fault_kinds

# a step as it is written in YAML
StepYaml = dict[str, Any]

# a word or names, as a fault's `at` takes them
TargetYaml = str | list[str]


# How long a storm waits for a leader that its next fault is for.
ELECTED_WITHIN = "60s"
# The most faults of one storm.
FAULTS_MAX = 10_000


class StormStep(Step, frozen=True, kw_only=True):
    """A storm: how long it lasts, how long one fault lasts, and the time between two faults.

    `weights`: kind -> its share; empty: the default weights. `target_words`: keys of TARGETS.
    """

    total_s: float
    duration_s: float
    interval_s: float
    weights: Mapping[str, int]
    target_words: tuple[str, ...]

    def fault_kinds(self, links: str) -> tuple[FaultKind, ...]:
        return tuple(fault_kinds()[name] for name in self.weights or default_weights(links))

    def lasts_s(self) -> float | None:
        return self.total_s

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        if self.weights and not any(self.weights.values()):
            yield "every weight in `faults` is 0, so that no fault is drawn"
        if self.total_s > FAULTS_MAX * (self.duration_s + self.interval_s):
            count = self.total_s / (self.duration_s + self.interval_s)
            yield (
                f"about {count:.3g} faults; at most {FAULTS_MAX}: "
                "a longer `duration` or `interval`, or a shorter storm"
            )
        targets = FaultTargets.of(cluster)
        if "one follower" in self.target_words and not targets.followers:
            yield f"targets: cluster {cluster.name} has no follower"
        if "leader" in self.target_words and not targets.can_lead:
            yield f"targets: cluster {cluster.name} has no leader"

    def begin(self, states: NodeStates) -> Iterator[str]:
        """A storm may have any node as a target, and its faults need nodes that run."""
        yield from states.down(states.up)


class FaultTargets(Struct, frozen=True):
    """The nodes that the faults of a storm can have as targets.

    `followers`: by the cluster file; all nodes where roles are elected. `replicates`: nodes send
    each other messages all the time. `elects`: and nodes report who leads.
    """

    nodes: tuple[str, ...]
    followers: tuple[str, ...]
    replicates: bool = False
    can_lead: bool = True
    elects: bool = False

    @classmethod
    def of(cls, cluster: Cluster) -> FaultTargets:
        nodes = tuple(node.name for node in cluster.nodes)
        followers = tuple(node.name for node in cluster.nodes if node.role is Role.FOLLOWER)
        elects = any("elects" in node.program.capabilities for node in cluster.nodes)
        replicates = all("replicates" in node.program.capabilities for node in cluster.nodes)
        can_lead = elects or len(followers) < len(nodes)
        all_follow = nodes if elects and len(nodes) > 1 else followers
        reports = elects and all(node.program.status is not None for node in cluster.nodes)
        return cls(nodes, all_follow, replicates, can_lead, reports)


def default_weights(links: str) -> dict[str, int]:
    """The shares of kinds in a storm that names none, on a cluster with these links."""
    return {
        name: kind.default_weight
        for name, kind in fault_kinds().items()
        if kind.default_weight and (links != "direct" or not kind.breaks_links)
    }


def schedule(storm: StormStep, cluster: Cluster, seed: str) -> list[StepYaml]:
    """The steps of one storm."""
    rng, targets = random.Random(seed), FaultTargets.of(cluster)
    weights = storm.weights or default_weights(cluster.links)
    kinds, shares = list(weights), list(weights.values())
    steps: list[StepYaml] = []
    elapsed_s = 0.0
    while elapsed_s < storm.total_s:
        interval_s, duration_s = _about(storm.interval_s, rng), _about(storm.duration_s, rng)
        (kind,) = rng.choices(kinds, shares)
        word = rng.choice(list(storm.target_words))
        target = TARGETS[word].choose(targets, rng)
        steps.append(_sleep(interval_s, "an interval without faults"))
        if word == "leader" and targets.elects:
            # An election may be under way.
            steps.append({"wait": {"at": "each", "until": "leader", "within": ELECTED_WITHIN}})
        steps.append(_fault(kind, target, duration_s, targets, rng))
        elapsed_s += interval_s + duration_s
    return [*steps, _sleep(_about(storm.interval_s, rng), "an interval after the storm")]


def _about(seconds: float, rng: random.Random) -> float:
    return seconds * rng.uniform(0.5, 1.5)


def _sleep(seconds: float, why: str) -> StepYaml:
    return {"sleep": {"for": f"{max(1, round(seconds * 1000))}ms", "why": why}}


def _fault(
    name: str,
    target: TargetYaml,
    duration_s: float,
    targets: FaultTargets,
    rng: random.Random,
) -> StepYaml:
    kinds = fault_kinds()
    draw = kinds[name].draw
    if draw is None:
        raise ValueError(f"a storm cannot draw {name}")
    named = [target] if isinstance(target, str) else target
    others = [node for node in targets.nodes if node not in named]
    fault = draw(StormDraw(target, others), rng)
    # a link without traffic at that moment cannot show that it is broken
    if any(_may_lack_traffic(kinds[drawn], targets) for drawn in fault):
        fault["evidence"] = "optional"
    return {"fault": {**fault, "do": [_sleep(duration_s, "let the fault last")]}}


def _may_lack_traffic(kind: FaultKind, targets: FaultTargets) -> bool:
    return kind.by_traffic and not (kind.breaks_links and targets.replicates)


class TargetWord(Struct, frozen=True):
    """A word of `targets:` in a storm. `choose` gives the target of one fault."""

    description: str
    choose: Callable[[FaultTargets, random.Random], TargetYaml]


def _sample(count: Callable[[int], int]) -> Callable[[FaultTargets, random.Random], TargetYaml]:
    return lambda targets, rng: sorted(rng.sample(targets.nodes, max(1, count(len(targets.nodes)))))


TARGETS: dict[str, TargetWord] = {
    "leader": TargetWord(
        "the node that leads when the fault begins", lambda targets, rng: "leader"
    ),
    "one follower": TargetWord(
        "one of the others, drawn from the seed", lambda targets, rng: rng.choice(targets.followers)
    ),
    "minority": TargetWord(
        "as many nodes as possible without a majority, drawn from the seed",
        _sample(lambda total: (total - 1) // 2),
    ),
    "majority": TargetWord(
        "more than half of the nodes, drawn from the seed", _sample(lambda total: total // 2 + 1)
    ),
}
