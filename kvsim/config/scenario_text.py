"""A scenario's tree as YAML text again, and with other values at its top. Pure: from tree to tree to text."""

from __future__ import annotations

from collections.abc import Iterator

from kvsim.config.scenario import Scenario
from kvsim.config.yaml_tree import Fields, Items, Scalar, Tree, flow


def standing_alone(scenario: Scenario) -> Fields:
    """The plain scenario of this cell, naming its cluster and its program by whole paths: it may stand in any folder."""
    program = {"program": scenario.instead.program} if scenario.instead.program else {}
    return with_values(scenario.tree, cluster=str(scenario.cluster), **program)


def with_values(scenario: Fields, **values: str) -> Fields:
    """The scenario with those keys set to texts. Keys given as empty are left out."""
    kept = [(key, value) for key, value in scenario.entries if key.text not in values]
    new = [
        (Scalar(scenario.mark, key), Scalar(scenario.mark, value, False))
        for key, value in values.items()
        if value
    ]
    return Fields(scenario.mark, (*kept[:1], *new, *kept[1:]))


def text_of(scenario: Fields) -> str:
    """YAML as a person would write it: a key a line, a step a line."""
    lines = []
    for key, value in scenario.entries:
        if key.text == "steps" and isinstance(value, Items):
            lines += ["steps:", *(line for step in value.items for line in _step(step))]
        else:
            lines.append(f"{flow(key)}: {flow(value)}")
    return "\n".join(lines) + "\n"


def _step(step: Tree) -> Iterator[str]:
    title = step.get("group") if isinstance(step, Fields) else None
    inner = step.get("steps") if isinstance(step, Fields) else None
    if title is None or not isinstance(inner, Items):
        yield f"  - {flow(step)}"
        return
    yield f"  - group: {flow(title)}"
    yield "    steps:"
    yield from (f"      - {flow(one)}" for one in inner.items)
