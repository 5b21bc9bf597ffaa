"""The nodes a run plays on: a private cluster of its own, or the one that is up. Knows nothing of steps."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvsim.config.cluster import Cluster
from kvsim.config.fault_words import FAULTS
from kvsim.config.lint import every_step
from kvsim.config.names import STRAIGHT, Place
from kvsim.config.scenario import Scenario
from kvsim.errors import UsageError
from kvsim.faults.links.child import LinkProxies
from kvsim.faults.preload.control import Control, prepared
from kvsim.history.journal import Journal
from kvsim.launcher.background import Background
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.net import Net
from kvsim.launcher.node import Node, Preload
from kvsim.process.environment import Mark
from kvsim.process.ports import reserve
from kvsim.rundir import RunDir
from kvsim.scenario.interrupt import Interrupts
from kvsim.scenario.job import Job, meta_of
from kvsim.scenario.roads import pave, ports_needed


@dataclass(frozen=True)
class Stage:
    """The nodes of a run, the proxies on their links where there are any, and what is loaded into them where something is."""

    launcher: Launcher
    proxies: LinkProxies | None = None
    control: Control | None = None


@contextlib.contextmanager
def private_cluster(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[Stage]:
    """A launcher for the cluster on ports of its own; on leaving, everything it started is stopped and its data removed."""
    cluster, run, mark = job.cluster, job.run, Mark(uuid.uuid4().hex)
    extra = sum(len(node.program.ports) for node in cluster.nodes)
    with (
        Net(mark.run, [*(run.data(node.name) for node in cluster.nodes), run.control]),
        reserve(len(cluster.nodes) + extra + _ports_of_proxies(cluster), cluster.host) as reservation,
        contextlib.ExitStack() as stack,
    ):
        ports = list(reservation.ports)
        places = private_places(cluster, ports, run)
        roads, views = pave(places, ports) if cluster.links == "proxied" else ([], STRAIGHT)
        proxies = stack.enter_context(LinkProxies(roads, f"{job.seed}:links")) if roads else None
        control = stack.enter_context(_control(run, places)) if breaks_inside(job.scenario) else None
        run.write_meta(meta_of(job, mark.run, places, views, control))
        nodes = [_node(place, mark, run, control) for place in places]
        launcher = Launcher(cluster, nodes, journal.write, views=views)
        try:
            yield Stage(launcher, proxies, control)
        finally:
            interrupts.stopping = True
            launcher.stop_all()
            if not job.options.keep:
                run.remove_data()
            interrupts.stopping = False


def breaks_inside(scenario: Scenario) -> bool:
    """Whether a fault of the scenario, or one that a storm of it may draw, is done by a library inside the nodes."""
    written = [
        step.fields.get("faults") if step.verb == "storm" else step.fields
        for step in every_step(scenario.steps)
        if step.verb in ("fault", "storm")
    ]
    inside = [name for name, kind in FAULTS.items() if kind.preloads]
    return any((words or {}).get(name) is not None for words in written for name in inside)


def _control(run: RunDir, places: list[Place]) -> contextlib.AbstractContextManager[Control]:
    return prepared(run.control, {place.node.name: Path(place.data_dir) for place in places})


def _node(place: Place, mark: Mark, run: RunDir, control: Control | None) -> Node:
    name = place.node.name
    preload = Preload(control.library, control.variables(name)) if control else None
    return Node(place, Mark(mark.run, name), run.node(name), preload)


@contextlib.contextmanager
def attached(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[Stage]:
    """A launcher for the cluster that is up, which is left as the scenario left it. Its logs are copied into the run."""
    background = Background(job.cluster)
    with background.locked("attach to it"):
        found = background.found(journal.write)
        if found is None:
            raise UsageError(
                f"no cluster is up for {job.cluster.path}; kvsim up starts it, or run without --attach"
            )
        mark, launcher = found
        job.run.write_meta(meta_of(job, mark, list(launcher.places.values())))
        for node in launcher.nodes.values():
            launcher.note_attached(node)
        try:
            yield Stage(launcher)
        finally:
            launcher.leave()
            background.write(mark, launcher)
            _copy_logs(job.run, launcher)


def _copy_logs(run: RunDir, launcher: Launcher) -> None:
    for node in launcher.nodes.values():
        run.node(node.name).mkdir(parents=True, exist_ok=True)
        for log in node.folder.glob("*.log"):
            shutil.copyfile(log, run.node(node.name) / log.name)


def _ports_of_proxies(cluster: Cluster) -> int:
    if cluster.links != "proxied":
        return 0
    return ports_needed([1 + len(node.program.ports) for node in cluster.nodes])


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
