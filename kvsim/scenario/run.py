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
from kvsim.errors import NodeFailed, UsageError
from kvsim.evidence.proof import Proof
from kvsim.evidence.verify import write_proof
from kvsim.history.journal import Journal
from kvsim.launcher.background import Background
from kvsim.launcher.launcher import Launcher, PortLost
from kvsim.launcher.net import Net
from kvsim.launcher.node import Node
from kvsim.process.environment import Mark
from kvsim.process.ports import reserve
from kvsim.rundir import RunDir, new_run
from kvsim.scenario.context import Context, StepResult
from kvsim.scenario.interrupt import Interrupted, Interrupts, orderly_interrupts
from kvsim.scenario.readback import State
from kvsim.scenario.roles import Roles
from kvsim.scenario.runner import run_steps
from kvsim.scenario.sessions import Sessions

# what an attached run cannot be asked for, because it neither starts nor stops the nodes
OF_START_AND_STOP = frozenset(
    {"nodes_start", "log_is_prompt", "nodes_stay_up", "exits_clean", "no_leftovers"}
)


PORT_TRIES = 3


@dataclass(frozen=True)
class Options:
    """How one run is to be made. `out` is where run directories go; None: `runs/` beside the cluster file."""

    seed: int | None = None
    out: Path | None = None
    keep: bool = False
    fail_fast: bool = False
    attach: bool = False  # to the cluster that is up, which goes on afterwards
    arguments: tuple[str, ...] = ()  # what else the command that repeats the run needs


@dataclass(frozen=True)
class Done:
    """A run that is over: its directory and its proof."""

    run: RunDir
    proof: Proof


Show = Callable[[Step, str, StepResult | None], None]


def run_scenario(scenario: Scenario, cluster: Cluster, options: Options, show: Show) -> Done:
    """Run a scenario and judge it. Raises UsageError when nothing could be started, RunInvalid when nothing can be recorded."""
    seed = options.seed if options.seed is not None else new_seed()
    run = new_run(options.out or cluster.root / "runs", scenario.name)
    shutil.copyfile(scenario.path, run.scenario)
    shutil.copyfile(cluster.path, run.cluster)
    job = Job(scenario, cluster, options, seed, run, show)
    with contextlib.closing(Journal(run.journal)) as journal, orderly_interrupts() as interrupts:
        journal.write("end", how=_until_the_end(job, journal, interrupts))
    if journal.broken:  # it may have broken in the thread that watches the logs
        raise journal.broken
    return Done(run, write_proof(run))


def _until_the_end(job: Job, journal: Journal, interrupts: Interrupts) -> str:
    """Run the steps, on other ports once more where a stranger took one at the last moment; how it ended, in words."""
    cluster = _attached if job.options.attach else _private_cluster
    for tries_left in reversed(range(PORT_TRIES)):
        try:
            with cluster(job, journal, interrupts) as launcher:
                interrupts.kill_all = launcher.kill_all
                return _steps(job, launcher, journal)
        except Interrupted:
            return "interrupted"
        except NodeFailed as error:
            if not (isinstance(error, PortLost) and tries_left):
                return f"stopped early: {str(error).splitlines()[0]}"
    raise AssertionError("unreachable")


@dataclass(frozen=True)
class Job:
    """What is to be run, and where it is recorded."""

    scenario: Scenario
    cluster: Cluster
    options: Options
    seed: int
    run: RunDir
    show: Show


def _steps(job: Job, launcher: Launcher, journal: Journal) -> str:
    """Start the nodes and run the steps. Raises NodeFailed when a node does not start; the checks say what that means."""
    scenario, seed = job.scenario, job.seed
    sessions = Sessions(launcher, journal, scenario.request_timeout_s)
    context = Context(
        scenario=scenario,
        cluster=job.cluster,
        launcher=launcher,
        sessions=sessions,
        roles=Roles(launcher, sessions, journal),
        journal=journal,
        variables=draw(scenario.variables, seed),
        seed=seed,
        state=State(launcher, sessions),
    )
    try:
        if not job.options.attach:
            launcher.start_all()
        run_steps(context, job.show, fail_fast=job.options.fail_fast)
    finally:
        sessions.close()
    return "finished"


@contextlib.contextmanager
def _private_cluster(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[Launcher]:
    """A launcher for the cluster on ports of its own; on leaving, everything it started is stopped and its data removed."""
    cluster, run, mark = job.cluster, job.run, Mark(uuid.uuid4().hex)
    extra = sum(len(node.program.ports) for node in cluster.nodes)
    with (
        Net(mark.run, [run.data(node.name) for node in cluster.nodes]),
        reserve(len(cluster.nodes) + extra, cluster.host) as reservation,
    ):
        places = private_places(cluster, list(reservation.ports), run)
        run.write_meta(_meta(job, mark.run, places))
        nodes = [Node(place, Mark(mark.run, place.node.name), run.node(place.node.name)) for place in places]
        launcher = Launcher(cluster, nodes, journal.write)
        try:
            yield launcher
        finally:
            interrupts.stopping = True
            launcher.stop_all()
            if not job.options.keep:
                run.remove_data()
            interrupts.stopping = False


@contextlib.contextmanager
def _attached(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[Launcher]:
    """A launcher for the cluster that is up, which is left as the scenario left it. Its logs are copied into the run."""
    background = Background(job.cluster)
    with background.locked("attach to it"):
        found = background.found(journal.write)
        if found is None:
            raise UsageError(
                f"no cluster is up for {job.cluster.path}; kvsim up starts it, or run without --attach"
            )
        mark, launcher = found
        job.run.write_meta(_meta(job, mark, list(launcher.places.values())))
        for node in launcher.nodes.values():
            launcher.note_attached(node)
        try:
            yield launcher
        finally:
            launcher.leave()
            background.write(mark, launcher)
            _copy_logs(job.run, launcher)


def _copy_logs(run: RunDir, launcher: Launcher) -> None:
    for node in launcher.nodes.values():
        run.node(node.name).mkdir(parents=True, exist_ok=True)
        for log in node.folder.glob("*.log"):
            shutil.copyfile(log, run.node(node.name) / log.name)


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


def _meta(job: Job, mark: str, places: list[Place]) -> dict[str, Any]:
    scenario, cluster, seed = job.scenario, job.cluster, job.seed
    return {
        "kvsim": kvsim.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "run": mark,
        "scenario": scenario.name,
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


def _again(job: Job) -> str:
    file = _shown(job.scenario.path)
    words = ["python", "-m", "kvsim", "run", file, "--seed", str(job.seed), *job.options.arguments]
    return shlex.join(words)


def _shown(path: Path) -> str:
    """A path as the user would write it from where kvsim was called."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)
