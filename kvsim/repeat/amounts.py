"""Numbers in a scenario that may be smaller: clients and keys of loads, lengths, nodes. Pure: from tree to tree.

Steps are left out by `smaller.py`; what is left may still have more clients than it takes to see the failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvsim.config import load_words
from kvsim.config.scenario_text import with_values
from kvsim.config.shape import Duration, Reading, Shape
from kvsim.config.yaml_tree import Fields, Scalar
from kvsim.repeat.smaller import Path, paths_of, step_at, with_step

LEAST_S = 0.001
OF_LOADS = ("clients", "keys")  # with their defaults, which may be smaller too
LENGTHS = {"sleep": "for", "storm": "for"}
NODES = "nodes"


@dataclass(frozen=True)
class Amount:
    """One number: where it stands (`path` empty: at the top), how much it is, and how little it may be. Times are in ms."""

    path: Path
    verb: str
    name: str
    value: int
    least: int
    unit: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.verb, self.name)))

    def written(self, value: int) -> str:
        return f"{value}{self.unit}"


def amounts_of(scenario: Fields, nodes: int) -> list[Amount]:
    """Every number that can still be smaller. `nodes` is how many the cluster has."""
    of_steps = [amount for path in paths_of(scenario) for amount in _of_step(path, step_at(scenario, path))]
    own = scenario.get(NODES)
    count = int(own.text) if isinstance(own, Scalar) else nodes
    return [one for one in (Amount((), "", NODES, count, 1), *of_steps) if one.value > one.least]


def _of_step(path: Path, step: Any) -> Iterator[Amount]:
    if not isinstance(step, Fields) or not step.entries:
        return
    verb, fields = step.entries[0]
    if not isinstance(fields, Fields):
        return
    if verb.text == "load" and fields.get("start") is not None:
        for name in OF_LOADS:
            row = load_words.FIELDS[name]
            yield Amount(path, verb.text, name, _read(row.shape, fields.get(name), row.default), 1)
    elif verb.text in LENGTHS:
        name = LENGTHS[verb.text]
        seconds = _read(Duration(), fields.get(name), 0.0)
        yield Amount(path, verb.text, name, round(seconds * 1000), round(LEAST_S * 1000), "ms")


def _read(shape: Shape, written: Any, default: Any) -> Any:
    return default if written is None else shape.read(written, Reading([]))


def with_amount(scenario: Fields, amount: Amount, value: int) -> Fields:
    """The scenario with that number, and without the load's minima, which were meant for more."""
    text = amount.written(value)
    if not amount.path:
        return with_values(scenario, **{amount.name: text})
    step = step_at(scenario, amount.path)
    verb, fields = step.entries[0]
    kept = tuple(entry for entry in fields.entries if entry[0].text not in (amount.name, "minima"))
    inner = Fields(fields.mark, (*kept, (Scalar(fields.mark, amount.name), Scalar(fields.mark, text))))
    return with_step(scenario, amount.path, Fields(step.mark, ((verb, inner),)))


def descent(amount: Amount) -> Iterator[int]:
    """What to try: the least first, then half of what it is, for as long as halves are taken."""
    yield amount.least
    half = amount.value // 2
    if half > amount.least:
        yield half


def told(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """`load clients 8 → 1`, for what became smaller; of several loads together."""
    return ", ".join(
        f"{name} {count} → {after.get(name, 0)}"
        for name, count in before.items()
        if after.get(name, 0) < count
    )


def sums(scenario: Fields, nodes: int) -> dict[str, int]:
    """What there is of each kind of number, steps that are left aside."""
    own = scenario.get(NODES)
    found = {NODES: int(own.text) if isinstance(own, Scalar) else nodes}
    for path in paths_of(scenario):
        for amount in _of_step(path, step_at(scenario, path)):
            key = f"{amount}{f' ({amount.unit})' if amount.unit else ''}"
            found[key] = found.get(key, 0) + amount.value
    return found
