"""Turn a target's words into nodes, at the moment a step runs, from what the nodes say. Pure; draws come from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from kvsim.config.target import AHEAD, ANY, EACH, MAJORITY, MINORITY, NAMED, THE, Target
from kvsim.scenario.roles import RoleSeen


@dataclass(frozen=True)
class Resolved:
    """The nodes a target means now, and how that is known, in words. `problem` is set when it means nobody, or too many."""

    nodes: tuple[str, ...]
    how: str = ""
    problem: str = ""


def resolve(target: Target, seen: Mapping[str, RoleSeen], rng: random.Random, *, up: bool = True) -> Resolved:
    """Who `target` is, given who is who. `up`: whether nodes that are up are meant first, or (for `start`) those that are down."""
    if target.which == NAMED:
        return Resolved(target.names)
    fitting = _fitting(target, seen, up)
    if not fitting:
        return Resolved((), problem=f"`{target}` is nobody: {told(seen)}")
    if target.which == THE and len(fitting) > 1:
        return Resolved((), problem=f"`{target}` is not one node: {told(seen)}")
    if target.which == AHEAD:
        return _most_advanced(target, [seen[name] for name in fitting])
    picked = _pick(target.which, fitting, len(seen), rng)
    if not picked:
        return Resolved((), problem=f"`{target}` of {len(seen)} node{'s' * (len(seen) > 1)} is nobody")
    return Resolved(tuple(picked), how=_how(target, fitting, seen))


def _fitting(target: Target, seen: Mapping[str, RoleSeen], up: bool) -> list[str]:
    """The nodes of the wanted role that are up (or down, as wanted); when none is, all that have it or had it when last seen."""
    of_role = [one for one in seen.values() if target.role is None or one.role is target.role]
    preferred = [one.node for one in of_role if one.up is up]
    return preferred or [one.node for one in of_role]


def _pick(which: str, fitting: list[str], total: int, rng: random.Random) -> list[str]:
    sizes = {THE: 1, EACH: len(fitting), ANY: 1, MAJORITY: total // 2 + 1, MINORITY: (total - 1) // 2}
    count = min(sizes[which], len(fitting))
    return fitting if count == len(fitting) else sorted(rng.sample(fitting, count), key=fitting.index)


def _most_advanced(target: Target, fitting: list[RoleSeen]) -> Resolved:
    """By epoch, then by index in it; the first of those that are equal."""
    places = {one.node: place for one in fitting if (place := _place(one)) is not None}
    if not places:
        return Resolved(
            (), problem=f"`{target}`: nobody says how far it is (`index` in `fields` of its status)"
        )
    node = max(places, key=places.__getitem__)
    epoch, index = places[node]
    return Resolved((node,), how=f"says index {index} of epoch {epoch}")


def _place(one: RoleSeen) -> tuple[int, int] | None:
    """The epoch (0 for who knows none) and the index a node says it is at; None when it says no number."""
    fields = one.fields or {}
    try:
        return int(fields.get("epoch") or 0), int(fields["index"])
    except (KeyError, ValueError):
        return None


def _how(target: Target, fitting: list[str], seen: Mapping[str, RoleSeen]) -> str:
    if target.role is None:
        return ""
    ways = {seen[name].how for name in fitting}
    return ", ".join(sorted(ways))


def told(seen: Mapping[str, RoleSeen]) -> str:
    """What every node said, for an error: `n1 says leader, n2 is down`."""
    return ", ".join(f"{one.node} {_says(one)}" for one in seen.values())


def _says(one: RoleSeen) -> str:
    return f"{one.how} {one.role or ''}".strip() if one.up else "is down"
