"""What every benchmark prints: the machine on the first line, then one row a figure.

Rows are tab-separated, or JSON with `--json`. Columns: name, value, unit, goal, `met` or `short`,
and the spread of the runs that the median was taken from.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import platform
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured figure. `goal` is a bound such as `<= 3` or `>= 0.85`, or empty."""

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
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def parser(text: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="print JSON for scripts")
    made.add_argument("--runs", type=int, default=5, help="runs for each median (default: 5)")
    return made


@contextlib.contextmanager
def unpacked(revision: str) -> Iterator[Path]:
    """An older commit of this repository in a temporary folder, its byte-code compiled."""
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as archive:
        argv = ["git", "archive", "--format=tar", revision]
        subprocess.run(argv, cwd=root, stdout=archive, check=True)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as packed:
            packed.extractall(folder)
        compileall.compile_dir(folder, quiet=1)
        yield Path(folder)
