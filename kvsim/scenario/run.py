"""One run from beginning to end: a run directory, a private cluster (or the one that is up), the steps, a clean end, the proof.

Joins launcher, runner and evidence. Whatever happens in between, nodes are stopped, the journal is closed and judged.
"""

from __future__ import annotations

import contextlib
import platform
import shlex
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kvsim
from kvsim.config.cluster import Cluster
from kvsim.config.names import Place
from kvsim.config.scenario import Scenario, Step
from kvsim.config.variables import draw, new_seed
from kvsim.errors import NodeFailed
from kvsim.evidence.proof import Proof
from kvsim.evidence.verify import write_proof
from kvsim.history.journal import Journal
from kvsim.launcher.launcher import Launcher, PortLost
from kvsim.launcher.net import Net
from kvsim.launcher.node import Node
from kvsim.process.environment import Mark
from kvsim.process.ports import reserve
from kvsim.rundir import RunDir, new_run
from kvsim.scenario.context import Context, StepResult
from kvsim.scenario.interrupt import Interrupted, orderly_interrupts
from kvsim.scenario.readback import State
from kvsim.scenario.roles import Roles
from kvsim.scenario.runner import run_steps
from kvsim.scenario.sessions import Sessions

PORT_TRIES = 3


@dataclass(frozen=True)
class Options:
    """How one run is to be made. `out` is where run directories go; None: `runs/` beside the cluster file."""

    seed: int | None = None
    out: Path | None = None
    keep: bool = False
    fail_fast: bool = False
    arguments: tuple[str, ...] = ()  # what else the command that repeats the run needs


@dataclass(frozen=True)
class Done:
    """A run that is over: its directory and its proof."""

    run: RunDir
    proof: Proof


Show = Callable[[Step, str, StepResult | None], None]


def run_scenario(scenario: Scenario, cluster: Cluster, options: Options, show: Show) -> Done:
    """Run a scenario on a private cluster. Raises UsageError when nothing could be started, RunInvalid when nothing can be recorded."""
    seed = options.seed if options.seed is not None else new_seed()
    run = new_run(options.out or cluster.root / "runs", scenario.name)
    mark = Mark(uuid.uuid4().hex)
    with Net(mark.run, [run.data(node.name) for node in cluster.nodes]):
        try:
            _run_recorded(scenario, cluster, options, seed, run, mark, show)
        finally:
            if not options.keep:
                run.remove_data()
    return Done(run, write_proof(run))


def _run_recorded(
    scenario: Scenario, cluster: Cluster, options: Options, seed: int, run: RunDir, mark: Mark, show: Show
) -> None:
    shutil.copyfile(scenario.path, run.scenario)
    shutil.copyfile(cluster.path, run.cluster)
    with contextlib.closing(Journal(run.journal)) as journal, orderly_interrupts() as interrupts:
        how = "finished"
        try:
            with _private_cluster(scenario, cluster, options, seed, run, mark, journal) as launcher:
                interrupts.kill_all = launcher.kill_all
                how = _steps(scenario, cluster, options, seed, launcher, journal, show)
        except Interrupted:
            how = "interrupted"
        journal.write("end", how=how)


def _steps(
    scenario: Scenario,
    cluster: Cluster,
    options: Options,
    seed: int,
    launcher: Launcher,
    journal: Journal,
    show: Show,
) -> str:
    """Start the nodes and run the steps; in words, how that ended. A node that does not start ends the run: checks say so."""
    sessions = Sessions(launcher, journal, scenario.request_timeout_s)
    context = Context(
        scenario=scenario,
        cluster=cluster,
        launcher=launcher,
        sessions=sessions,
        roles=Roles(launcher, sessions, journal),
        journal=journal,
        variables=draw(scenario.variables, seed),
        seed=seed,
        state=State(launcher, sessions),
    )
    try:
        launcher.start_all()
        run_steps(context, show, fail_fast=options.fail_fast)
    except Interrupted:
        return "interrupted"
    except PortLost:
        raise
    except NodeFailed as error:
        return f"stopped early: {str(error).splitlines()[0]}"
    finally:
        sessions.close()
    return "finished"


@contextlib.contextmanager
def _private_cluster(
    scenario: Scenario,
    cluster: Cluster,
    options: Options,
    seed: int,
    run: RunDir,
    mark: Mark,
    journal: Journal,
) -> Iterator[Launcher]:
    """A launcher for the cluster on ports of its own; on leaving, everything it started is stopped."""
    extra = sum(len(node.program.ports) for node in cluster.nodes)
    with reserve(len(cluster.nodes) + extra, cluster.host) as reservation:
        places = private_places(cluster, list(reservation.ports), run)
        run.write_meta(_meta(scenario, cluster, options, seed, mark, places))
        nodes = [Node(place, Mark(mark.run, place.node.name), run.node(place.node.name)) for place in places]
        launcher = Launcher(cluster, nodes, journal.write)
        try:
            yield launcher
        finally:
            launcher.stop_all()


def private_places(cluster: Cluster, ports: list[int], run: RunDir) -> list[Place]:
    """Where the nodes of a private cluster are, from a list of free ports that is used up in order."""
    return [
        Place(
            node=node,
            host=cluster.host,
            port=ports.pop(0),
            data_dir=str(run.data(node.name).resolve()),
            ports={name: ports.pop(0) for name in node.program.ports},
        )
        for node in cluster.nodes
    ]


def _meta(
    scenario: Scenario, cluster: Cluster, options: Options, seed: int, mark: Mark, places: list[Place]
) -> dict[str, Any]:
    return {
        "kvsim": kvsim.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "run": mark.run,
        "scenario": scenario.name,
        "title": scenario.title,
        "scenario_file": _shown(scenario.path),
        "cluster": cluster.name,
        "cluster_file": _shown(cluster.path),
        "seed": seed,
        "vars": dict(scenario.variables),
        "variables": draw(scenario.variables, seed),
        "checks": list(scenario.checks),
        "again": _again(scenario, options, seed),
        "nodes": {place.node.name: _node_meta(place) for place in places},
    }


def _node_meta(place: Place) -> dict[str, Any]:
    program = place.node.program
    return {
        "id": place.node.id,
        "role": place.node.role,
        "program": program.name,
        "address": f"{place.host}:{place.port}",
        "ports": [place.port, *place.ports.values()],
        "capabilities": sorted(program.capabilities),
        "promises": dict(program.promises),
        "role_log": dict(program.role_log.patterns),
        "clean_exits": sorted(program.stop.exits),
        "lasting": program.speak.settings.get("connection", "lasting") == "lasting",
    }


def _again(scenario: Scenario, options: Options, seed: int) -> str:
    words = ["python", "-m", "kvsim", "run", _shown(scenario.path), "--seed", str(seed), *options.arguments]
    return shlex.join(words)


def _shown(path: Path) -> str:
    """A path as the user would write it from where kvsim was called."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def refuse_unfit(scenario: Scenario, cluster: Cluster) -> str | None:
    """Why the scenario cannot be held against the cluster's program, in one line; None when it can."""
    have = frozenset.intersection(*(node.program.capabilities for node in cluster.nodes))
    missing = sorted(scenario.needs - have)
    programs = ", ".join(sorted({node.program.name for node in cluster.nodes}))
    return (
        f"{programs} has no capability {', '.join(missing)}, which scenario {scenario.name} needs"
        if missing
        else None
    )
