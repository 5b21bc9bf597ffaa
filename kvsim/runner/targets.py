"""Resolve a target to nodes when a step runs, by what the nodes report. Pure; draws use a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from msgspec import Struct

from kvsim.config.program import Role
from kvsim.config.target import (
    ANY,
    CANDIDATE,
    EACH,
    LEAST_ADVANCED,
    MAJORITY,
    MINORITY,
    MOST_ADVANCED,
    NAMED,
    OLD_LEADER,
    THE,
    Target,
)
from kvsim.runner.roles import RoleObservation, describe_roles, of_highest_term, only_leader
from kvsim.text import plural

# What nodes that ask for votes call themselves.
CANDIDATE_WORDS = frozenset({"candidate", "precandidate", "pre-candidate"})


class ResolvedTarget(Struct, frozen=True):
    """The nodes of a target, and how their roles are known.

    `problem` is set when the target matches no node, or too many.
    """

    nodes: tuple[str, ...]
    how: str = ""
    problem: str = ""


def resolve(
    target: Target,
    roles: Mapping[str, RoleObservation],
    rng: random.Random,
    *,
    prefer_up: bool = True,
) -> ResolvedTarget:
    """The nodes of `target`, given every node's role.

    `prefer_up`: nodes that are up are preferred, or (for `start`) those that are down.
    """
    if target.which == NAMED:
        return ResolvedTarget(target.names)
    matching = _matching(target, roles, prefer_up)
    if not matching:
        problem = f"`{target}` matches no node: {describe_roles(roles)}"
        return ResolvedTarget((), problem=problem)
    if target.which == THE and target.role is Role.LEADER:
        matching = of_highest_term([roles[name] for name in matching])
    if target.which == THE and len(matching) > 1:
        problem = f"`{target}` is not one node: {describe_roles(roles)}"
        return ResolvedTarget((), problem=problem)
    if target.which in {MOST_ADVANCED, LEAST_ADVANCED}:
        return _by_log(target, [roles[name] for name in matching])
    if target.which == OLD_LEADER:
        return _old_leader(target, roles)
    if target.which == CANDIDATE:
        return _candidate(target, roles, rng)
    chosen = _choose(target.which, matching, len(roles), rng)
    if not chosen:
        problem = f"`{target}` of {plural(len(roles), 'node')} matches no node"
        return ResolvedTarget((), problem=problem)
    return ResolvedTarget(tuple(chosen), how=_how(target, matching, roles))


def _matching(target: Target, roles: Mapping[str, RoleObservation], prefer_up: bool) -> list[str]:
    """The nodes of the role that are up (or down, as preferred).

    When there is none, all nodes that have the role or had it when they last reported.
    """
    of_role = [
        observed
        for observed in roles.values()
        if target.role is None or observed.role is target.role
    ]
    preferred = [observed.node for observed in of_role if observed.up is prefer_up]
    return preferred or [observed.node for observed in of_role]


def _choose(which: str, matching: list[str], total: int, rng: random.Random) -> list[str]:
    sizes = {
        THE: 1,
        EACH: len(matching),
        ANY: 1,
        MAJORITY: total // 2 + 1,
        MINORITY: (total - 1) // 2,
    }
    count = min(sizes[which], len(matching))
    if count == len(matching):
        return matching
    return sorted(rng.sample(matching, count), key=matching.index)


def _by_log(target: Target, matching: Sequence[RoleObservation]) -> ResolvedTarget:
    """By term, then by index in it; the first of those that are equal."""
    positions = {
        observed.node: position
        for observed in matching
        if (position := _log_position(observed)) is not None
    }
    if not positions:
        problem = f"`{target}`: no node reports its index (`index` in `fields` of its status)"
        return ResolvedTarget((), problem=problem)
    choose = max if target.which == MOST_ADVANCED else min
    node = choose(positions, key=positions.__getitem__)
    term, index = positions[node]
    return ResolvedTarget((node,), how=f"says index {index} of term {term}")


def _log_position(observed: RoleObservation) -> tuple[int, int] | None:
    """The term and index of the last entry of a node's log.

    Where it reports none, its term (0 where none is reported) and index; None: it reports no index.
    """
    fields = observed.fields
    try:
        if "last_index" in fields:
            return int(fields["last_term"]), int(fields["last_index"])
        return observed.term, int(fields["index"])
    except (KeyError, ValueError):
        return None


def _old_leader(target: Target, roles: Mapping[str, RoleObservation]) -> ResolvedTarget:
    """The node that led last, apart from the leader."""
    now = only_leader(roles)
    before = [observed for observed in roles.values() if observed.led_in and observed.node != now]
    if not before:
        problem = f"`{target}` matches no node: no other node was the leader in this run"
        return ResolvedTarget((), problem=problem)
    last = max(before, key=lambda observed: observed.led_in)
    return ResolvedTarget((last.node,), how="led before")


def _candidate(
    target: Target, roles: Mapping[str, RoleObservation], rng: random.Random
) -> ResolvedTarget:
    candidates = [
        name
        for name, observed in roles.items()
        if observed.up and observed.fields.get("role", "").lower() in CANDIDATE_WORDS
    ]
    if not candidates:
        problem = f"`{target}` matches no node: {describe_roles(roles)}"
        return ResolvedTarget((), problem=problem)
    return ResolvedTarget((rng.choice(candidates),), how="reports candidate")


def _how(target: Target, matching: list[str], roles: Mapping[str, RoleObservation]) -> str:
    if target.role is None:
        return ""
    return ", ".join(sorted({roles[name].how for name in matching}))
