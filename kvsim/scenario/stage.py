"""The nodes a run plays on: a private cluster of its own, or the one that is up. Knows nothing of steps."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.config.fault_words import FAULTS
from kvsim.config.lint import every_step
from kvsim.config.names import Place
from kvsim.config.scenario import Scenario
from kvsim.errors import UsageError
from kvsim.faults.links.process import Links
from kvsim.faults.links.standing import standing
from kvsim.faults.preload.control import Control, prepared
from kvsim.history.journal import Journal
from kvsim.launcher.background import Background
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.net import Net
from kvsim.launcher.node import Node, Preload
from kvsim.process.environment import Mark
from kvsim.rundir import RunDir
from kvsim.scenario.ground import GROUNDS
from kvsim.scenario.interrupt import Interrupts
from kvsim.scenario.job import Job, meta_of


@dataclass(frozen=True)
class Stage:
    """The nodes of a run, their links where these can be broken, and what is loaded into the nodes where something is."""

    launcher: Launcher
    links: Links | None = None
    control: Control | None = None


@contextlib.contextmanager
def private_cluster(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[Stage]:
    """A launcher for the cluster on ports of its own; on leaving, everything it started is stopped and its data removed."""
    cluster, run, mark = job.cluster, job.run, Mark(uuid.uuid4().hex)
    with (
        Net(mark.run, [*(run.data(node.name) for node in cluster.nodes), run.control], _if_killed(run)),
        GROUNDS[cluster.links](job) as ground,
        contextlib.ExitStack() as stack,
    ):
        preload = job.options.preload or breaks_inside(job.scenario)
        control = stack.enter_context(_control(run, ground.places)) if preload else None
        run.write_meta(meta_of(job, mark.run, ground.places, ground.views, control))
        nodes = [_node(place, mark, run, control) for place in ground.places]
        for node in nodes:
            node.net = ground.nets.get(node.name)
        launcher = Launcher(cluster, nodes, journal.write, views=ground.views, limits=job.limits)
        try:
            yield Stage(launcher, ground.links, control)
        finally:
            interrupts.stopping = True
            launcher.stop_all()
            if not job.options.keep:
                run.remove_data()
            interrupts.stopping = False


def _if_killed(run: RunDir) -> str:
    return f"kvsim was killed; its nodes are gone. kvsim report {run.path} draws what was recorded"


def breaks_inside(scenario: Scenario) -> bool:
    """Whether a fault of the scenario, or one that a storm of it may draw, is done by a library inside the nodes."""
    written = [
        step.fields.get("faults") if step.verb == "storm" else step.fields
        for step in every_step(scenario.steps)
        if step.verb in ("fault", "storm")
    ]
    inside = [name for name, kind in FAULTS.items() if kind.preloads]
    return any((words or {}).get(name) is not None for words in written for name in inside)


def _control(run: RunDir, places: Sequence[Place]) -> contextlib.AbstractContextManager[Control]:
    return prepared(run.control, {place.node.name: Path(place.data_dir) for place in places})


def _node(place: Place, mark: Mark, run: RunDir, control: Control | None) -> Node:
    name = place.node.name
    preload = Preload(control.library, control.variables(name)) if control else None
    return Node(place, Mark(mark.run, name), run.node(name), preload)


@contextlib.contextmanager
def attached(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[Stage]:
    """A launcher for the cluster that is up, which is left as the scenario left it. Its logs are copied into the run."""
    background = Background(job.cluster, limits=job.limits)
    with background.locked("attach to it"):
        found = background.found(journal.write)
        if found is None:
            raise UsageError(
                f"no cluster is up for {job.cluster.path}; kvsim up starts it, or run without --attach"
            )
        mark, launcher = found
        job.run.write_meta(meta_of(job, mark, list(launcher.places.values()), launcher.views))
        for node in launcher.nodes.values():
            launcher.note_attached(node)
        try:
            if background.laid.carrier is None:
                yield Stage(launcher)
            else:
                with standing(background.laid.socket) as links:
                    yield Stage(launcher, links)
        finally:
            launcher.leave()
            background.write(mark, launcher)
            _copy_logs(job.run, launcher)


def _copy_logs(run: RunDir, launcher: Launcher) -> None:
    for node in launcher.nodes.values():
        run.node(node.name).mkdir(parents=True, exist_ok=True)
        for log in node.folder.glob("*.log"):
            shutil.copyfile(log, run.node(node.name) / log.name)
