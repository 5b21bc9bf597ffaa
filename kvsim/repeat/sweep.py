"""A scenario broken after each of its steps, in several ways: a grid of runs. Makes variants and reads results; starts nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsim.config.yaml_tree import Fields, flow, read_text
from kvsim.repeat.smaller import Path, paths_of, step_at, with_inserted
from kvsim.trials.trial import Ending, Result, Trial, exit_of

BREAKS = {  # column → the steps that are put in
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
TEXT_MAX = 70


@dataclass(frozen=True)
class Cell:
    """One variant: where something was put in, and what."""

    row: str  # the step's number, as `2.1`, or `3` outside groups
    column: str
    scenario: Fields

    @property
    def name(self) -> str:
        return f"{self.row}-{self.column}"


def cells_of(scenario: Fields, columns: Sequence[str]) -> list[Cell]:
    """Every variant. Steps inside a fault are left alone: something is broken there already."""
    return [
        Cell(row, column, with_inserted(scenario, path, read_text(BREAKS[column], "", [])))
        for row, path in rows_of(scenario).items()
        for column in columns
    ]


def rows_of(scenario: Fields) -> Mapping[str, Path]:
    """Number → path of each step that stands in a group or outside all groups."""
    found = {}
    for path in paths_of(scenario):
        holder = path[:-1]
        if len(path) > 2 or (holder and not _is_group(scenario, holder)) or _is_group(scenario, path):
            continue
        found[".".join(str(place + 1) for place in path)] = path
    return found


def _is_group(scenario: Fields, path: Path) -> bool:
    step = step_at(scenario, path)
    return isinstance(step, Fields) and step.get("group") is not None


def grid(scenario: Fields, columns: Sequence[str], results: Mapping[str, Sequence[Result]]) -> str:
    """A row a step, a column a way of breaking, a letter a run; then what the letters mean. `results`: by a cell's name."""
    rows = rows_of(scenario)
    widths = [max(len(column), 3) for column in columns]
    lines = [
        "after step  " + "  ".join(column.ljust(width) for column, width in zip(columns, widths, strict=True))
    ]
    for row, path in rows.items():
        letters = [
            _letters(results.get(f"{row}-{column}", ())).ljust(width)
            for column, width in zip(columns, widths, strict=True)
        ]
        text = flow(step_at(scenario, path))
        lines.append(
            f"{row:<10}  {'  '.join(letters)}  {text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + '…'}"
        )
    seen = {one.ending for found in results.values() for one in found}
    legend = [f"{letter} {ending}" for ending, letter in LETTERS.items() if ending in seen]
    return "\n".join([*lines, "", "   ".join(legend)])


def _letters(results: Sequence[Result]) -> str:
    return "".join(LETTERS.get(result.ending, "e") for result in results)


def to_json(pairs: Sequence[tuple[Trial, Result]]) -> dict[str, Any]:
    """Each cell's endings, and the worst exit status."""
    cells: dict[str, list[str]] = {}
    for trial, result in pairs:
        cells.setdefault(trial.about["cell"], []).append(str(result.ending))
    counts: dict[str, int] = {}
    for _, result in pairs:
        counts[str(result.ending)] = counts.get(str(result.ending), 0) + 1
    return {"cells": cells, "endings": counts, "exit": int(exit_of(counts))}
