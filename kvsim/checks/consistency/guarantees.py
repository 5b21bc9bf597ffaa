"""The guarantees that a program states in its node.yaml, and the checks that judge each. Pure.

    guarantees: {writes: durable_at_majority, leader_reads: linearizable, follower_reads: prefix}

What a program does not guarantee is measured and reported, and never fails. The level of `writes`
also decides which faults the guarantees cover: when a run had another one, what follows from a
lost write is measured only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from kvsim.config.guarantee_levels import GUARANTEE_LEVELS
from kvsim.errors import UsageError
from kvsim.history.history import FaultSpan, FaultTraits, History


class GuaranteeLevel(Struct, frozen=True):
    """One level that a guarantee can have: what it means, and the checks that judge it."""

    means: str
    checks: tuple[str, ...] = ()


# Guarantee → level → the checks that judge it.
CHECKS_OF_LEVELS: dict[str, dict[str, tuple[str, ...]]] = {
    "writes": dict.fromkeys(GUARANTEE_LEVELS["writes"], ("lost_writes",)),
    "leader_reads": {"linearizable": ("linearizable",), "sequential": ("sequential",)},
    "follower_reads": {
        "linearizable": ("linearizable", "prefix", "converged"),
        "sequential": ("prefix", "sequential", "converged"),
        "read_your_writes": ("prefix", "read_your_writes", "converged"),
        "monotonic_reads": ("prefix", "monotonic_reads", "converged"),
        "prefix": ("prefix", "converged"),
    },
}
# Guarantee → level → what it means and which checks judge it.
GUARANTEES: dict[str, dict[str, GuaranteeLevel]] = {
    guarantee: {
        level: GuaranteeLevel(means, CHECKS_OF_LEVELS[guarantee].get(level, ()))
        for level, means in levels.items()
    }
    for guarantee, levels in GUARANTEE_LEVELS.items()
}

LEADER_CHANGE = "a change of leader"

# The levels of `writes` that cover faults in which nodes end, and those that cover a change of
# leader. Every level covers faults in which no node ends, and none covers damage to stored data.
COVERS_ENDS = frozenset({"durable_at_leader", "durable_at_majority", "durable_at_all"})
COVERS_LEADER_CHANGE = frozenset({"durable_at_majority", "durable_at_all"})
MINORITY_ONLY = frozenset({"durable_at_majority"})


def complete_guarantees(guarantees: Mapping[str, str]) -> dict[str, str]:
    """`guarantees` with a level for every guarantee: `acked_by_leader` for writes, else `none`.

    Raises UsageError for a guarantee or level that is not in GUARANTEES.
    """
    complete = {"writes": "acked_by_leader", "leader_reads": "none", "follower_reads": "none"}
    for guarantee, level in guarantees.items():
        if guarantee not in GUARANTEES:
            raise UsageError(
                f"guarantees: there is no {guarantee!r}; guarantees are {', '.join(GUARANTEES)}"
            )
        if level not in GUARANTEES[guarantee]:
            levels = ", ".join(GUARANTEES[guarantee])
            raise UsageError(f"guarantees: {guarantee} cannot be {level!r}; it is one of {levels}")
        complete[guarantee] = level
    return complete


def uncovered_faults(history: History, writes: str, *, survives_power: bool = False) -> str:
    """What happened that this level of `writes` does not cover, as text; may be empty."""
    found = {
        fault.kind
        for fault in history.faults
        if not _is_covered(fault.traits, writes) or (fault.traits.cuts_power and not survives_power)
    }
    leaders = {sample.node for sample in history.samples if sample.role == "leader"}
    if len(leaders) > 1 and writes not in COVERS_LEADER_CHANGE:
        found.add(LEADER_CHANGE)
    uncovered = sorted(found)
    if not uncovered and writes in MINORITY_ONLY and _majority_killed(history):
        uncovered = ["a majority killed at once"]
    return ", ".join(uncovered)


def _is_covered(traits: FaultTraits, writes: str) -> bool:
    ends_nodes = traits.ends_nodes != "no"
    return not traits.damages_data and (not ends_nodes or writes in COVERS_ENDS)


def _majority_killed(history: History) -> bool:
    """Were half of the known nodes or more down at one moment?"""
    known = {sample.node for sample in history.samples} | set(history.operations.nodes.strings)
    kills = [fault for fault in history.faults if fault.traits.ends_nodes == "always"]
    return any(2 * len(_down_at(kills, kill.began_ns)) >= len(known) > 0 for kill in kills)


def _down_at(kills: Sequence[FaultSpan], time_ns: int) -> set[str]:
    return {
        node for kill in kills if kill.began_ns <= time_ns <= kill.ended_ns for node in kill.nodes
    }
