"""Write a scenario's tree as YAML text, also with other values of its top-level keys. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from kvsim.config.scenario import Scenario
from kvsim.config.yaml_nodes import Fields, Items, Scalar, Tree, flow_style


def self_contained(scenario: Scenario) -> Fields:
    """The scenario of this cell, with absolute paths of its cluster and program, so that it can be
    read from any folder.

    Raises ValueError for a scenario that was not read from a file.
    """
    if scenario.tree is None:
        raise ValueError(f"scenario {scenario.name} was not read from a file")
    program = scenario.overrides.program
    values = {"program": program} if program else {}
    return with_values(scenario.tree, cluster=str(scenario.cluster), **values)


def with_values(scenario: Fields, **values: str) -> Fields:
    """The scenario with those keys set to texts. Keys with an empty text are left out."""
    others = [(key, value) for key, value in scenario.entries if key.text not in values]
    new = [
        (Scalar(scenario.location, key), Scalar(scenario.location, value, False))
        for key, value in values.items()
        if value
    ]
    return Fields(scenario.location, (*others[:1], *new, *others[1:]))


def text_of(scenario: Fields) -> str:
    """YAML with a line for each key and for each step."""
    lines = []
    for key, value in scenario.entries:
        if key.text == "steps" and isinstance(value, Items):
            lines += ["steps:", *(line for step in value.items for line in _step(step))]
        else:
            lines.append(f"{flow_style(key)}: {flow_style(value)}")
    return "\n".join(lines) + "\n"


def _step(step: Tree) -> Iterator[str]:
    title = step.get("group") if isinstance(step, Fields) else None
    inner = step.get("steps") if isinstance(step, Fields) else None
    if title is None or not isinstance(inner, Items):
        yield f"  - {flow_style(step)}"
        return
    yield f"  - group: {flow_style(title)}"
    yield "    steps:"
    yield from (f"      - {flow_style(item)}" for item in inner.items)
