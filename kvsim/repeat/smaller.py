"""A scenario's text with some of its steps left out, or others put in. Pure: from tree to tree to text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvsim.config.yaml_tree import Fields, Items, Tree, flow

Path = tuple[int, ...]  # where a step stands: its place in the list, in the list that one holds, …
HOLDERS = ("steps", "do")


def paths_of(scenario: Fields) -> list[Path]:
    """Every step and group, those that others hold too, in order."""
    return list(_paths(scenario.get("steps")))


def _paths(steps: Tree | None, above: Path = ()) -> Iterator[Path]:
    if not isinstance(steps, Items):
        return
    for place, step in enumerate(steps.items):
        yield (*above, place)
        yield from _paths(_held(step), (*above, place))


def _held(step: Tree) -> Tree | None:
    """The list of steps that a group or a fault holds, wherever in it."""
    if not isinstance(step, Fields):
        return None
    for key, value in step.entries:
        if key.text in HOLDERS and isinstance(value, Items):
            return value
        found = _held(value)
        if found is not None:
            return found
    return None


def without(scenario: Fields, left_out: frozenset[Path]) -> Fields:
    """The scenario without those steps, and without groups, faults and variables that nothing is left for."""
    entries = tuple(
        (key, _filtered(value, left_out) if key.text == "steps" else value) for key, value in scenario.entries
    )
    return _without_unused(Fields(scenario.mark, entries))


def _without_unused(scenario: Fields) -> Fields:
    """A variable that no step uses is a mistake, and would be told as one."""
    steps = scenario.get("steps")
    text = flow(steps) if steps is not None else ""
    entries = []
    for key, value in scenario.entries:
        if key.text == "vars" and isinstance(value, Fields):
            used = [
                (name, kind)
                for name, kind in value.entries
                if re.search(rf"\{{{re.escape(name.text)}\b", text)
            ]
            value = Fields(value.mark, tuple(used))
            if not used:
                continue
        entries.append((key, value))
    return Fields(scenario.mark, tuple(entries))


def _filtered(steps: Tree, left_out: frozenset[Path], above: Path = ()) -> Tree:
    if not isinstance(steps, Items):
        return steps
    kept = []
    for place, step in enumerate(steps.items):
        path = (*above, place)
        if path in left_out:
            continue
        held = _held(step)
        if held is None:
            kept.append(step)
            continue
        inner = _filtered(held, left_out, path)
        if inner.items:
            kept.append(_with_held(step, inner))
    return Items(steps.mark, tuple(kept))


def _with_held(step: Tree, inner: Tree) -> Tree:
    """The step, holding `inner` instead."""
    entries = []
    for key, value in step.entries:
        if key.text in HOLDERS and isinstance(value, Items):
            entries.append((key, inner))
        elif isinstance(value, Fields) and _held(value) is not None:
            entries.append((key, _with_held(value, inner)))
        else:
            entries.append((key, value))
    return Fields(step.mark, tuple(entries))


def with_inserted(scenario: Fields, path: Path, new: Tree) -> Fields:
    """The scenario with the steps of the list `new` behind the step at `path`, in the same list."""

    def put_in(steps: Tree, rest: Path) -> Tree:
        items = list(steps.items)
        if len(rest) == 1:
            items[rest[0] + 1 : rest[0] + 1] = new.items
        else:
            items[rest[0]] = _with_held(items[rest[0]], put_in(_held(items[rest[0]]), rest[1:]))
        return Items(steps.mark, tuple(items))

    entries = [
        (key, put_in(value, path) if key.text == "steps" else value) for key, value in scenario.entries
    ]
    return Fields(scenario.mark, tuple(entries))


def step_at(scenario: Fields, path: Path) -> Tree:
    """The step or group that stands there."""
    steps, step = scenario.get("steps"), None
    for place in path:
        step = steps.items[place]
        steps = _held(step)
    return step


def up_to(scenario: Fields, path: Path, end: Tree) -> Fields:
    """The scenario up to the step at `path`, which the steps of the list `end` stand for; nothing behind it."""

    def cut(steps: Tree, rest: Path) -> Tree:
        items = list(steps.items[: rest[0]])
        if len(rest) == 1:
            return Items(steps.mark, (*items, *end.items))
        holder = steps.items[rest[0]]
        return Items(steps.mark, (*items, _with_held(holder, cut(_held(holder), rest[1:]))))

    entries = [(key, cut(value, path) if key.text == "steps" else value) for key, value in scenario.entries]
    return _without_unused(Fields(scenario.mark, tuple(entries)))


def with_step(scenario: Fields, path: Path, new: Tree) -> Fields:
    """The scenario with another step at `path`."""

    def put(steps: Tree, rest: Path) -> Tree:
        items = list(steps.items)
        items[rest[0]] = (
            new if len(rest) == 1 else _with_held(items[rest[0]], put(_held(items[rest[0]]), rest[1:]))
        )
        return Items(steps.mark, tuple(items))

    entries = [(key, put(value, path) if key.text == "steps" else value) for key, value in scenario.entries]
    return Fields(scenario.mark, tuple(entries))
