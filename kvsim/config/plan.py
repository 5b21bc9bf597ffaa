"""What a grading plan is: frozen values only. `plan_loader` reads them from plan.yaml."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from kvsim.config.scenario import Scenario
from kvsim.config.yaml_nodes import Fields


class PlanItem(Struct, frozen=True):
    """One scenario file of the plan and its points.

    `scenarios` is one, or the cells of its matrix; `runs` is the number of runs of each.
    """

    file: Path
    scenarios: tuple[Scenario, ...]
    name: str
    title: str
    points: int
    hidden: bool
    runs: int
    partial: str

    @property
    def runs_total(self) -> int:
        """The number of runs, over all cells."""
        return self.runs * len(self.scenarios)


class ResourceLimits(Struct, frozen=True):
    """What a submission may use. Times in seconds, sizes in bytes."""

    time_s: float = 120.0
    build_time_s: float = 300.0
    memory_bytes: int = 1 << 30
    cpu_s: int = 120
    processes: int = 256
    files: int = 1024
    disk_bytes: int = 256 << 20


class GradingPlan(Struct, frozen=True):
    """A whole plan.

    `program` is the tree of its node.yaml, which is written again for each submission.
    `known_store`: what happens when a known store is found inside one (flag | zero | ignore).
    """

    name: str
    path: Path
    program: Fields
    build: tuple[str, ...]
    items: tuple[PlanItem, ...]
    limits: ResourceLimits
    known_store: str

    @property
    def points(self) -> int:
        return sum(item.points for item in self.items)
