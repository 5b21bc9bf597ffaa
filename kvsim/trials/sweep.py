"""A scenario with a disruption after each of its steps: a grid of variants.

Makes variants and reads results; starts nothing. A disruption is a pair of steps that ends with
every node up again, so that everything the scenario expects must still hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from kvsim.config.yaml_nodes import Fields, Items, flow_style, read_text
from kvsim.text import truncate
from kvsim.trials.nodes_left_down import may_be_down, processes_of
from kvsim.trials.scenario_edit import StepPath, insert_after, paths_of, step_at
from kvsim.trials.trial import Ending, Trial, TrialResult, exit_of

# Column of the grid → the steps that are inserted.
DISRUPTIONS = {
    "kill-leader": "[{kill: leader}, {start: leader}]",
    "restart-leader": "[{restart: leader}]",
    "kill-follower": "[{kill: any follower}, {start: each follower}]",
    "restart-followers": "[{restart: each follower}]",
}
LETTERS = {
    Ending.PASS: ".",
    Ending.FAIL: "F",
    Ending.UNKNOWN: "u",
    Ending.INVALID: "i",
    Ending.OVERTIME: "t",
    Ending.SKIPPED: "-",
}
OTHER_LETTER = "e"
IMPOSSIBLE = "x"
STEP_MAX = 70


class Variant(Struct, frozen=True):
    """A scenario with one disruption. `row`: the number of its step, `2.1`, or `3` outside groups.

    `column`: the disruption.
    """

    row: str
    column: str
    scenario: Fields

    @property
    def name(self) -> str:
        return f"{self.row}-{self.column}"


def variants_of(scenario: Fields, disruptions: Sequence[str]) -> list[Variant]:
    """Every variant. Steps inside a fault are skipped: the fault disrupts them already.

    So is a disruption of a node that the scenario may have left down.
    """
    return [
        Variant(row, name, insert_after(scenario, path, steps_of(DISRUPTIONS[name])))
        for row, path in rows_of(scenario).items()
        for name in disruptions
        if _is_possible(scenario, path, name)
    ]


def _is_possible(scenario: Fields, path: StepPath, disruption: str) -> bool:
    """Whether the nodes that a disruption breaks are up after the step at `path`."""
    return not any(
        may_be_down(scenario, path, target)
        for step in steps_of(DISRUPTIONS[disruption]).items
        for _, target in processes_of(step)
    )


def steps_of(text: str) -> Items:
    """A list of steps, from YAML text of this program."""
    steps = read_text(text, "", [])
    if not isinstance(steps, Items):
        raise ValueError(f"not a list of steps: {text}")
    return steps


def rows_of(scenario: Fields) -> Mapping[str, StepPath]:
    """Number → path of each step in a group or outside all groups."""
    rows = {}
    for path in paths_of(scenario):
        holder = path[:-1]
        inside_fault = len(path) > 2 or (holder and not _is_group(scenario, holder))
        if not inside_fault and not _is_group(scenario, path):
            rows[".".join(str(index + 1) for index in path)] = path
    return rows


def _is_group(scenario: Fields, path: StepPath) -> bool:
    step = step_at(scenario, path)
    return isinstance(step, Fields) and step.get("group") is not None


def grid(
    scenario: Fields, disruptions: Sequence[str], results: Mapping[str, Sequence[TrialResult]]
) -> str:
    """A row for each step, a column for each disruption, a letter for each run; then a legend.

    `results` are by the name of the variant.
    """
    widths = [max(len(name), 3) for name in disruptions]

    def columns(texts: Sequence[str]) -> str:
        cells = zip(texts, widths, strict=True)
        return "  ".join(text.ljust(width) for text, width in cells)

    lines, skipped = [f"after step  {columns(disruptions)}"], False
    for row, path in rows_of(scenario).items():
        letters = [
            _letters(results.get(f"{row}-{name}", ()))
            if _is_possible(scenario, path, name)
            else IMPOSSIBLE
            for name in disruptions
        ]
        skipped = skipped or IMPOSSIBLE in letters
        step = truncate(flow_style(step_at(scenario, path)), STEP_MAX)
        lines.append(f"{row:<10}  {columns(letters)}  {step}")
    found = {result.ending for row in results.values() for result in row}
    legend = [f"{letter} {ending}" for ending, letter in LETTERS.items() if ending in found]
    legend += [f"{IMPOSSIBLE} not made: the scenario has left the node down"] if skipped else []
    return "\n".join([*lines, "", "   ".join(legend)])


def _letters(results: Sequence[TrialResult]) -> str:
    return "".join(LETTERS.get(result.ending, OTHER_LETTER) for result in results)


def to_json(pairs: Sequence[tuple[Trial, TrialResult]]) -> dict[str, Any]:
    """Each variant's endings, the count of each ending, and the worst exit status."""
    variants: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for trial, result in pairs:
        variants.setdefault(trial.labels["variant"], []).append(str(result.ending))
        counts[str(result.ending)] = counts.get(str(result.ending), 0) + 1
    return {
        "variants": variants,
        "endings": counts,
        "exit": int(exit_of(result.ending for _, result in pairs)),
    }
