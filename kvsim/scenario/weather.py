"""A storm's schedule: from a seed to steps of the ordinary language, in plain values. Pure.

Nodes are named and amounts are written out, so that the schedule does the same again in any scenario; only `leader` stays a
word, because who that is depends on what the storm has done.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsim.config.cluster import Cluster
from kvsim.config.fault_words import FAULTS, LINKS
from kvsim.config.program import Role

StepWords = dict[str, Any]
CALM = {"kill": 1, "pause": 1}
CALM_OF_LINKS = {"partition": 1, "delay": 1}


@dataclass(frozen=True)
class Sea:
    """Whom a storm can hit."""

    nodes: tuple[str, ...]
    followers: tuple[str, ...]  # by the cluster file; everybody where roles are elected
    talk: bool = False  # whether nodes speak to each other all the time, as those that replicate do

    @classmethod
    def of(cls, cluster: Cluster) -> Sea:
        nodes = tuple(node.name for node in cluster.nodes)
        fixed = tuple(node.name for node in cluster.nodes if node.role is Role.FOLLOWER)
        elects = any("elects" in node.program.capabilities for node in cluster.nodes)
        talk = all("replicates" in node.program.capabilities for node in cluster.nodes)
        return cls(nodes, nodes if elects or not fixed else fixed, talk)


def weights_of(words: Mapping[str, int] | None, cluster: Cluster) -> dict[str, int]:
    """The weights that are written, or those that go without saying."""
    if words:
        return dict(words)
    return {**CALM, **(CALM_OF_LINKS if cluster.links != "direct" else {})}


def schedule(words: Mapping[str, Any], cluster: Cluster, seed: str) -> list[StepWords]:
    """The steps of one storm. `words` are the fields of the verb; times in them are seconds."""
    rng, sea = random.Random(seed), Sea.of(cluster)
    weights = weights_of(words.get("faults"), cluster)
    kinds, shares = list(weights), list(weights.values())
    steps: list[StepWords] = []
    spent_s = 0.0
    while spent_s < words["for"]:
        quiet_s, last_s = _about(words["quiet"], rng), _about(words["last"], rng)
        (kind,) = rng.choices(kinds, shares)
        victim = VICTIMS[rng.choice(list(words["hits"]))](sea, rng)
        steps += [_sleep(quiet_s, "quiet between faults"), _fault(kind, victim, last_s, sea, rng)]
        spent_s += quiet_s + last_s
    return [*steps, _sleep(_about(words["quiet"], rng), "quiet after the storm")]


def _about(seconds: float, rng: random.Random) -> float:
    return seconds * rng.uniform(0.5, 1.5)


def _ms(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _sleep(seconds: float, why: str) -> StepWords:
    return {"sleep": {"for": _ms(seconds), "why": why}}


def _fault(kind: str, victim: str | list[str], last_s: float, sea: Sea, rng: random.Random) -> StepWords:
    words = MAKERS[kind](victim, sea, rng)
    if any(FAULTS[name].by_traffic and not (name in LINKS and sea.talk) for name in words):
        words["receipt"] = "optional"  # what nobody uses just then cannot show that it is broken
    return {"fault": {**words, "do": [_sleep(last_s, "let the fault last")]}}


# --- victims ---------------------------------------------------------------------------------------------------------

Victim = str | list[str]


def _some(count: Callable[[int], int]) -> Callable[[Sea, random.Random], Victim]:
    return lambda sea, rng: sorted(rng.sample(sea.nodes, max(1, count(len(sea.nodes)))))


VICTIMS: dict[str, Callable[[Sea, random.Random], Victim]] = {
    "leader": lambda sea, rng: "leader",
    "one follower": lambda sea, rng: rng.choice(sea.followers),
    "minority": _some(lambda total: (total - 1) // 2),
    "majority": _some(lambda total: total // 2 + 1),
}

# --- faults ----------------------------------------------------------------------------------------------------------


def _of_process(kind: str) -> Callable[[Victim, Sea, random.Random], StepWords]:
    return lambda victim, sea, rng: {kind: {"at": victim}}


def _of_link(kind: str, settings: Callable[[random.Random], StepWords]) -> Callable[..., StepWords]:
    def make(victim: Victim, sea: Sea, rng: random.Random) -> StepWords:
        return {kind: {"from": _other_end(victim, sea, rng), "to": victim, **settings(rng)}}

    return make


def _other_end(victim: Victim, sea: Sea, rng: random.Random) -> Victim:
    """kvsim's clients, or the other nodes."""
    hit: Sequence[str] = [victim] if isinstance(victim, str) else victim
    others = [node for node in sea.nodes if node not in hit]
    return rng.choice(["client", others]) if others else "client"


def _partition(victim: Victim, sea: Sea, rng: random.Random) -> StepWords:
    if victim == "leader":
        return {"partition": {"into": "leader alone"}}
    hit = [victim] if isinstance(victim, str) else victim
    others = [node for node in sea.nodes if node not in hit]
    return {"blackhole": {"from": others, "to": hit}} if others else {"partition": {"into": "leader alone"}}


def _disk(victim: Victim, sea: Sea, rng: random.Random) -> StepWords:
    how = rng.choice(["full", "failing", "slow"])
    more: StepWords = {}
    if how == "failing":
        more = {
            "calls": rng.choice([["write"], ["sync"], ["write", "sync"]]),
            "percent": rng.choice([10, 50, 100]),
        }
    elif how == "slow":
        more = {"by": _ms(rng.uniform(0.005, 0.1))}
    return {"disk": {"at": victim, "how": how, **more}}


def _clock(victim: Victim, sea: Sea, rng: random.Random) -> StepWords:
    by_ms = round(10 ** rng.uniform(1, 6)) * rng.choice([-1, 1])  # 10 ms to a quarter of an hour
    return {"clock": {"at": victim, "by": f"{by_ms:+d}ms", "rate": rng.choice([0.5, 1, 1, 2])}}


def _nothing(rng: random.Random) -> StepWords:
    return {}


MAKERS: dict[str, Callable[[Victim, Sea, random.Random], StepWords]] = {
    **{kind: _of_process(kind) for kind in ("kill", "pause", "restart")},
    **{kind: _of_link(kind, _nothing) for kind in ("cut", "blackhole", "stall")},
    "delay": _of_link(
        "delay", lambda rng: {"by": _ms(rng.uniform(0.005, 0.05)), "jitter": _ms(rng.uniform(0, 0.005))}
    ),
    "bandwidth": _of_link("bandwidth", lambda rng: {"rate": rng.randint(10_000, 100_000)}),
    "slice": _of_link("slice", lambda rng: {"bytes": rng.randint(1, 16)}),
    "drop": _of_link("drop", lambda rng: {"percent": rng.randint(1, 5)}),
    "partition": _partition,
    "disk": _disk,
    "clock": _clock,
}
