"""What every benchmark prints: the machine on the first line, then a row a figure, tab-separated, or JSON with `--json`.

Columns: name, value, unit, goal, met or short, and the spread of the runs the median was taken from.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure. `goal` is a bound such as `<= 3` or `>= 0.85`; empty where there is none."""

    name: str
    value: float
    unit: str
    goal: str = ""
    spread: str = ""

    @property
    def verdict(self) -> str:
        """`met`, `short`, or nothing when no goal was set."""
        if not self.goal:
            return ""
        sign, bound = self.goal.split()
        met = self.value <= float(bound) if sign == "<=" else self.value >= float(bound)
        return "met" if met else "short"


def median_of(measure: Callable[[], float], runs: int) -> tuple[float, str]:
    """The median of several runs and their spread, `min..max`."""
    return summary([measure() for _ in range(runs)])


def summary(values: Sequence[float]) -> tuple[float, str]:
    """Median and spread of measured values."""
    return statistics.median(values), f"{min(values):.4g}..{max(values):.4g} of {len(values)}"


class Report:
    """Prints figures as they come (or all at the end as JSON)."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.figures: list[Figure] = []
        if not as_json:
            print(f"# {machine()}")

    def add(self, name: str, value: float, unit: str, goal: str = "", spread: str = "") -> None:
        figure = Figure(name, value, unit, goal, spread)
        self.figures.append(figure)
        if not self.as_json:
            row = (name, f"{value:.4g}", unit, goal, figure.verdict, spread)
            print("\t".join(row).rstrip(), flush=True)

    def close(self) -> None:
        if self.as_json:
            rows = [{**asdict(figure), "verdict": figure.verdict} for figure in self.figures]
            print(json.dumps({"machine": machine(), "figures": rows}, indent=1))


def machine() -> str:
    """This machine in one line."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def parser(text: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print JSON for scripts")
    made.add_argument("--runs", type=int, default=5, help="runs for each median (default: 5)")
    return made
