"""Resolve a target to nodes when a step runs, by what the nodes report. Pure; draws use a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvsim.config.target import ANY, EACH, MAJORITY, MINORITY, MOST_ADVANCED, NAMED, THE, Target
from kvsim.runner.roles import RoleObservation, describe_roles
from kvsim.text import plural


@dataclass(frozen=True)
class ResolvedTarget:
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
    if target.which == THE and len(matching) > 1:
        problem = f"`{target}` is not one node: {describe_roles(roles)}"
        return ResolvedTarget((), problem=problem)
    if target.which == MOST_ADVANCED:
        return _most_advanced(target, [roles[name] for name in matching])
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


def _most_advanced(target: Target, matching: Sequence[RoleObservation]) -> ResolvedTarget:
    """By term, then by index in it; the first of those that are equal."""
    positions = {
        observed.node: position
        for observed in matching
        if (position := _log_position(observed)) is not None
    }
    if not positions:
        problem = f"`{target}`: no node reports its index (`index` in `fields` of its status)"
        return ResolvedTarget((), problem=problem)
    node = max(positions, key=positions.__getitem__)
    term, index = positions[node]
    return ResolvedTarget((node,), how=f"says index {index} of term {term}")


def _log_position(observed: RoleObservation) -> tuple[int, int] | None:
    """The term (0 where none is reported) and index of a node; None when it reports no number."""
    try:
        return int(observed.fields.get("term") or 0), int(observed.fields["index"])
    except (KeyError, ValueError):
        return None


def _how(target: Target, matching: list[str], roles: Mapping[str, RoleObservation]) -> str:
    if target.role is None:
        return ""
    return ", ".join(sorted({roles[name].how for name in matching}))
