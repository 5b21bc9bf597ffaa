"""Which nodes the steps of a scenario have left down, read from its text.

A disruption that would break such a node tests nothing: the scenario itself has broken it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvsim.config.target import ANY, Target, named, parse_target
from kvsim.config.yaml_nodes import Fields, Items, Scalar, Tree
from kvsim.trials.scenario_edit import StepPath, paths_of, step_at

ENDS, STARTS = frozenset({"kill", "stop"}), frozenset({"start", "restart"})


def may_be_down(scenario: Fields, path: StepPath, target: Target) -> bool:
    """Whether a node of `target` may be down after the step at `path`.

    Nodes that a fault ends are up again after it.
    """
    # Also after the steps that it holds.
    reached = [at for at in paths_of(scenario) if at <= path or at[: len(path)] == path]
    return any(_overlap(left, target) for left in _left_down(scenario, reached))


def may_be_down_before(scenario: Fields, path: StepPath, target: Target) -> bool:
    """Whether a node of `target` may be down when the step at `path` begins."""
    before = [at for at in paths_of(scenario) if at < path]
    return any(_overlap(left, target) for left in _left_down(scenario, before))


def _left_down(scenario: Fields, paths: Iterable[StepPath]) -> list[Target]:
    left: list[Target] = []
    for path in paths:
        for verb, target in processes_of(step_at(scenario, path)):
            if verb in ENDS:
                left.append(target)
            else:
                left = _started(left, target)
    return left


def _started(left: list[Target], target: Target) -> list[Target]:
    """What is still down once the nodes of `target` were started."""
    if target in left and target.which == ANY:
        position = left.index(target)
        return left[:position] + left[position + 1 :]
    return [down for down in left if not _covers(target, down)]


def _covers(target: Target, down: Target) -> bool:
    if target.names or down.names:
        return bool(down.names) and set(down.names) <= set(target.names)
    return target.role is None or target.role is down.role


def _overlap(down: Target, target: Target) -> bool:
    if down.names and target.names:
        return bool(set(down.names) & set(target.names))
    roles = {down.role, target.role}
    # A node that is named may have any role, and so may a node of no role.
    return None in roles or len(roles) == 1


def processes_of(step: Tree) -> Iterator[tuple[str, Target]]:
    """The verb and the target of a step that ends or starts nodes; nothing of any other."""
    entries = step.entries if isinstance(step, Fields) else ()
    for verb, fields in entries:
        if verb.text in ENDS | STARTS:
            at = fields.get("at") if isinstance(fields, Fields) else fields
            target = _target(at)
            if target is not None:
                yield verb.text, target


def _target(at: Tree | None) -> Target | None:
    try:
        if isinstance(at, Items):
            return named(tuple(item.text for item in at.items if isinstance(item, Scalar)))
        return parse_target(at.text) if isinstance(at, Scalar) else None
    except ValueError:
        return None
