"""What is to be run and how: frozen values, and what a run's meta.json says of them."""

from __future__ import annotations

import contextlib
import platform
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kvsim
from kvsim.config.cluster import Cluster
from kvsim.config.names import STRAIGHT, Place, Views
from kvsim.config.scenario import Scenario, Step
from kvsim.config.variables import draw
from kvsim.faults.preload.control import Control
from kvsim.history.journal import Listen
from kvsim.limits import CALIBRATED, PLAIN, Limits
from kvsim.rundir import RunDir
from kvsim.scenario.context import StepResult

# what an attached run cannot be asked for, because it neither starts nor stops the nodes
OF_START_AND_STOP = frozenset(
    {"nodes_start", "log_is_prompt", "nodes_stay_up", "exits_clean", "no_leftovers"}
)

Show = Callable[[Step, str, StepResult | None], None]


@dataclass(frozen=True)
class Options:
    """How one run is to be made. `out` is where run directories go; None: `runs/` beside the cluster file."""

    seed: int | None = None
    out: Path | None = None
    keep: bool = False
    fail_fast: bool = False
    attach: bool = False  # to the cluster that is up, which goes on afterwards
    arguments: tuple[str, ...] = ()  # what else the command that repeats the run needs
    listen: Listen | None = None  # hears of every event of the run as it goes
    broken_off: Callable[[RunDir], None] = lambda run: None  # told when kvsim itself breaks the run off
    preload: bool = (
        False  # the library for faults of disks and clocks, though no step of the scenario asks for it
    )
    time_limits: str = CALIBRATED  # how they are meant: a word of kvsim.limits


@dataclass(frozen=True)
class Job:
    """What is to be run, and where it is recorded."""

    scenario: Scenario
    cluster: Cluster
    options: Options
    seed: int
    run: RunDir
    show: Show
    limits: Limits = PLAIN  # those of scenario and cluster are stretched by them already


def meta_of(
    job: Job, mark: str, places: Sequence[Place], views: Views = STRAIGHT, control: Control | None = None
) -> dict[str, Any]:
    """What meta.json holds: everything that a judgement needs besides the journal and the logs."""
    scenario, cluster, seed = job.scenario, job.cluster, job.seed
    return {
        "kvsim": kvsim.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "run": mark,
        "scenario": scenario.label,
        "cell": dict(scenario.cell),
        "title": scenario.title,
        "scenario_file": _shown(scenario.path),
        "cluster": cluster.name,
        "cluster_file": _shown(cluster.path),
        "seed": seed,
        "vars": dict(scenario.variables),
        "variables": draw(scenario.variables, seed),
        "checks": [
            name for name in scenario.checks if not (job.options.attach and name in OF_START_AND_STOP)
        ],
        "again": _again(job),
        "attached": job.options.attach,
        "time_limits": job.limits.to_json(),
        "preloaded": control.digest if control else None,
        "nodes": {place.node.name: _node_meta(place, views) for place in places},
    }


def _node_meta(place: Place, views: Views) -> dict[str, Any]:
    program = place.node.program
    return {
        "id": place.node.id,
        "role": place.node.role,
        "program": program.name,
        "address": f"{place.host}:{place.port}",
        "ports": [place.port, *place.ports.values(), *views.ports_of(place.node.name)],
        "capabilities": sorted(program.capabilities),
        "promises": dict(program.promises),
        "role_log": dict(program.role_log.patterns),
        "clean_exits": sorted(program.stop.exits),
        "lasting": program.speak.settings.get("connection", "lasting") == "lasting",
    }


def _again(job: Job) -> str:
    file = _shown(job.scenario.path)
    words = [
        "python",
        "-m",
        "kvsim",
        "run",
        file,
        *job.scenario.words,
        "--seed",
        str(job.seed),
        *job.options.arguments,
    ]
    return shlex.join(words)


def _shown(path: Path) -> str:
    """A path as the user would write it from where kvsim was called."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)
