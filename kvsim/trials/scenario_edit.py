"""Edit a scenario's tree: leave steps out, replace or insert steps, and make its numbers smaller.

From tree to tree: `kvsim.config.scenario_writer` makes text of the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from kvsim.config.scenario_writer import with_values
from kvsim.config.schema import Duration, Int, Schema, Validation
from kvsim.config.yaml_nodes import Fields, Items, Scalar, Tree, flow_style

# Where a step is: its index in the list of steps, in the list that this step holds, and so on.
StepPath = tuple[int, ...]

# Keys of groups and faults whose value is a list of steps.
HOLDERS = ("steps", "do")
NODES = "nodes"


# --- steps --------------------------------------------------------------------------------------


def paths_of(scenario: Fields) -> list[StepPath]:
    """The path of every step and group, those inside others included, in document order."""
    return list(_paths(scenario.get("steps")))


def _paths(steps: Tree | None, holder: StepPath = ()) -> Iterator[StepPath]:
    if not isinstance(steps, Items):
        return
    for index, step in enumerate(steps.items):
        yield (*holder, index)
        yield from _paths(_held(step), (*holder, index))


def _held(step: Tree) -> Items | None:
    """The list of steps that a group or a fault holds, at any depth."""
    if not isinstance(step, Fields):
        return None
    for key, value in step.entries:
        if key.text in HOLDERS and isinstance(value, Items):
            return value
        found = _held(value)
        if found is not None:
            return found
    return None


def _with_held(step: Tree, held: Items) -> Tree:
    """The step, holding other steps."""
    if not isinstance(step, Fields):
        return step
    entries: list[tuple[Scalar, Tree]] = []
    for key, value in step.entries:
        if key.text in HOLDERS and isinstance(value, Items):
            entries.append((key, held))
        elif _held(value) is not None:
            entries.append((key, _with_held(value, held)))
        else:
            entries.append((key, value))
    return Fields(step.location, tuple(entries))


def step_at(scenario: Fields, path: StepPath) -> Tree:
    """The step or group at `path`. Raises IndexError when there is none."""
    steps = scenario.get("steps")
    step: Tree = scenario
    for index in path:
        if not isinstance(steps, Items):
            raise IndexError(f"no step at {path}")
        step = steps.items[index]
        steps = _held(step)
    return step


def verb_and_fields(step: Tree) -> tuple[Scalar, Fields] | None:
    """A step's verb and its mapping; None for a step written in another form."""
    if not isinstance(step, Fields) or not step.entries:
        return None
    verb, fields = step.entries[0]
    return (verb, fields) if isinstance(fields, Fields) else None


def without(scenario: Fields, left_out: frozenset[StepPath]) -> Fields:
    """The scenario without these steps.

    Groups and faults that hold nothing any more, and variables that no step uses, go with them.
    """
    steps = scenario.get("steps")
    if not isinstance(steps, Items):
        return scenario
    return _without_unused_variables(_with_steps(scenario, _filtered(steps, left_out)))


def _filtered(steps: Items, left_out: frozenset[StepPath], holder: StepPath = ()) -> Items:
    kept = []
    for index, step in enumerate(steps.items):
        path = (*holder, index)
        if path in left_out:
            continue
        held = _held(step)
        if held is None:
            kept.append(step)
            continue
        inner = _filtered(held, left_out, path)
        if inner.items:
            kept.append(_with_held(step, inner))
    return Items(steps.location, tuple(kept))


def insert_after(scenario: Fields, path: StepPath, new: Items) -> Fields:
    """The scenario with steps inserted after the step at `path`, in the same list."""

    def edit(steps: tuple[Tree, ...], index: int) -> tuple[Tree, ...]:
        return (*steps[: index + 1], *new.items, *steps[index + 1 :])

    return _edited(scenario, path, edit)


def replace_step(scenario: Fields, path: StepPath, new: Tree) -> Fields:
    """The scenario with another step at `path`."""

    def edit(steps: tuple[Tree, ...], index: int) -> tuple[Tree, ...]:
        return (*steps[:index], new, *steps[index + 1 :])

    return _edited(scenario, path, edit)


def end_at(scenario: Fields, path: StepPath, end: Items) -> Fields:
    """The scenario up to the step at `path`, which `end` replaces; nothing follows it."""

    def edit(steps: tuple[Tree, ...], index: int) -> tuple[Tree, ...]:
        return (*steps[:index], *end.items)

    def cut(steps: tuple[Tree, ...], index: int) -> tuple[Tree, ...]:
        return steps[: index + 1]

    edited = _edited(scenario, path, edit)
    for length in range(1, len(path)):
        edited = _edited(edited, path[:length], cut)
    return _without_unused_variables(edited)


def _edited(
    scenario: Fields,
    path: StepPath,
    edit: Callable[[tuple[Tree, ...], int], tuple[Tree, ...]],
) -> Fields:
    """The scenario with the list that holds the step at `path` edited: `edit(steps, index)`."""

    def edit_list(steps: Tree | None, rest: StepPath) -> Items:
        if not isinstance(steps, Items):
            raise IndexError(f"no step at {path}")
        index = rest[0]
        if len(rest) == 1:
            return Items(steps.location, edit(steps.items, index))
        holder = steps.items[index]
        inner = _with_held(holder, edit_list(_held(holder), rest[1:]))
        return Items(steps.location, (*steps.items[:index], inner, *steps.items[index + 1 :]))

    return _with_steps(scenario, edit_list(scenario.get("steps"), path))


def _with_steps(scenario: Fields, steps: Items) -> Fields:
    entries = ((key, steps if key.text == "steps" else value) for key, value in scenario.entries)
    return Fields(scenario.location, tuple(entries))


def _without_unused_variables(scenario: Fields) -> Fields:
    """A variable that no step uses is a mistake that the loader reports."""
    steps = scenario.get("steps")
    text = flow_style(steps) if steps is not None else ""
    entries: list[tuple[Scalar, Tree]] = []
    for key, value in scenario.entries:
        if key.text == "vars" and isinstance(value, Fields):
            used = tuple(
                (name, kind)
                for name, kind in value.entries
                if re.search(rf"\{{{re.escape(name.text)}\b", text)
            )
            if used:
                entries.append((key, Fields(value.location, used)))
        else:
            entries.append((key, value))
    return Fields(scenario.location, tuple(entries))


# --- numbers ------------------------------------------------------------------------------------

# Fields of loads that can be smaller, and their values where they are not written.
LOAD_DEFAULTS = {"clients": 5, "keys": 10}
# The field of each verb that is a length of time.
LENGTHS = {"sleep": "for", "storm": "for"}
LENGTH_MIN_MS = 1
COUNT_MAX = 2**31


class Amount(Struct, frozen=True):
    """A number of a scenario that can be smaller: the value now and the smallest possible value.

    `path` is its step; empty for a number of the scenario itself. Lengths of time are in ms.
    """

    path: StepPath
    verb: str
    name: str
    value: int
    minimum: int
    unit: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.verb, self.name)))

    def text(self, value: int) -> str:
        """A value as the scenario writes it."""
        return f"{value}{self.unit}"


def amounts_of(scenario: Fields, nodes: int) -> list[Amount]:
    """Every number that can be smaller. `nodes` is how many nodes the cluster has."""
    count = Amount((), "", NODES, _nodes_of(scenario, nodes), 1)
    amounts = [count, *_step_amounts(scenario)]
    return [amount for amount in amounts if amount.value > amount.minimum]


def _nodes_of(scenario: Fields, nodes: int) -> int:
    written = scenario.get(NODES)
    return int(written.text) if isinstance(written, Scalar) else nodes


def _step_amounts(scenario: Fields) -> Iterator[Amount]:
    for path in paths_of(scenario):
        found = verb_and_fields(step_at(scenario, path))
        if found is None:
            continue
        verb, fields = found[0].text, found[1]
        if verb == "load" and fields.get("start") is not None:
            for name, default in LOAD_DEFAULTS.items():
                written = fields.get(name)
                value = default if written is None else _read(Int(1, COUNT_MAX), written)
                yield Amount(path, verb, name, int(value), 1)
        elif verb in LENGTHS:
            name = LENGTHS[verb]
            written = fields.get(name)
            seconds = 0.0 if written is None else _read(Duration(zero=True), written)
            yield Amount(path, verb, name, round(seconds * 1000), LENGTH_MIN_MS, "ms")


def _read(schema: Schema, written: Tree) -> float:
    return float(schema.read(written, Validation()))


def with_amount(scenario: Fields, amount: Amount, value: int) -> Fields:
    """The scenario with another value of one number.

    A load loses its minima: they were written for more clients.
    """
    text = amount.text(value)
    if not amount.path:
        return with_values(scenario, **{amount.name: text})
    step = step_at(scenario, amount.path)
    found = verb_and_fields(step)
    if found is None:
        raise IndexError(f"no {amount} at {amount.path}")
    verb, fields = found
    kept = tuple(entry for entry in fields.entries if entry[0].text not in (amount.name, "minima"))
    written = Scalar(fields.location, amount.name), Scalar(fields.location, text)
    smaller = Fields(step.location, ((verb, Fields(fields.location, (*kept, written))),))
    return replace_step(scenario, amount.path, smaller)


def smaller_values(amount: Amount) -> Iterator[int]:
    """The values to try: the smallest first, then half of the present one."""
    yield amount.minimum
    half = amount.value // 2
    if half > amount.minimum:
        yield half


def amount_totals(scenario: Fields, nodes: int) -> dict[str, int]:
    """The sum of each kind of number, over all steps."""
    totals = {NODES: _nodes_of(scenario, nodes)}
    for amount in _step_amounts(scenario):
        key = f"{amount}{f' ({amount.unit})' if amount.unit else ''}"
        totals[key] = totals.get(key, 0) + amount.value
    return totals


def describe_reduction(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """`load clients 8 → 1` for each total that became smaller."""
    return ", ".join(
        f"{name} {count} → {after.get(name, 0)}"
        for name, count in before.items()
        if after.get(name, 0) < count
    )
