"""What a grading plan is, read from plan.yaml: frozen values only. How they are read stands in `plan_file.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kvsim.config.scenario import Scenario
from kvsim.config.yaml_tree import Fields


@dataclass(frozen=True)
class Item:
    """One scenario of the plan and what it is worth. `runs` is for each cell of its matrix."""

    file: Path
    scenarios: tuple[Scenario, ...]  # one, or its matrix' cells
    name: str
    title: str
    points: int
    hidden: bool
    runs: int
    partial: str

    @property
    def wanted(self) -> int:
        """So many runs, over all cells."""
        return self.runs * len(self.scenarios)


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Times in seconds, sizes in bytes."""

    time_s: float = 120.0
    build_time_s: float = 300.0
    memory_bytes: int = 1 << 30
    cpu_s: int = 120
    processes: int = 256
    files: int = 1024
    disk_bytes: int = 256 << 20


@dataclass(frozen=True)
class Plan:
    """A whole plan. `program` is the tree of its node.yaml, which is written anew for each submission."""

    name: str
    path: Path
    program: Fields
    build: tuple[str, ...]
    items: tuple[Item, ...]
    limits: Limits
    inside: str

    @property
    def points(self) -> int:
        return sum(item.points for item in self.items)
