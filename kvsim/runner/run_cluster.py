"""The nodes that a run uses: a private cluster, or the one that is up. Knows nothing of steps."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kvsim.client.description import to_json
from kvsim.config.scenario import fault_kinds_of
from kvsim.errors import UsageError
from kvsim.folders import find_paths
from kvsim.history.journal import Journal
from kvsim.launcher.background import Background
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node, Preload, isolated_data
from kvsim.launcher.prepare import owners_of
from kvsim.launcher.watchdog_guard import WatchdogGuard
from kvsim.network.addresses import NodeAddress
from kvsim.network.topology import TOPOLOGIES
from kvsim.process.environment import ProcessTag, new_run_tag
from kvsim.run_directory import RunDirectory
from kvsim.runner.interrupts import Interrupts
from kvsim.runner.job import Job, meta_of

if TYPE_CHECKING:
    from kvsim.faults.preload.control import PreloadControl
    from kvsim.network.links import Links


class RunCluster(Struct, frozen=True):
    """The nodes of a run.

    `links` is None where links cannot be broken, `preload` where no library is loaded into the
    nodes.
    """

    launcher: Launcher
    links: Links | None = None
    preload: PreloadControl | None = None


@contextlib.contextmanager
def private_cluster(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[RunCluster]:
    """A launcher for the cluster, on ports that no other run has.

    On leaving, everything that it started is stopped, and the data of the nodes are removed.
    """
    cluster, run, tag = job.cluster, job.run, ProcessTag(new_run_tag())
    kinds = fault_kinds_of(job.scenario, cluster.links)
    holding = {kind.name for kind in kinds if kind.holds_packets}
    with (
        WatchdogGuard(
            tag.run,
            _temporary(job),
            _message_if_killed(run),
        ),
        TOPOLOGIES[cluster.links](cluster, run.data, f"{job.seed}:links", holding) as topology,
        contextlib.ExitStack() as stack,
    ):
        preload = None
        on_writes = job.options.on_writes
        if job.options.preload or on_writes or any(kind.preloads for kind in kinds):
            record = on_writes is not None or any(kind.records for kind in kinds)
            preload = stack.enter_context(_prepare_preload(run, topology.addresses, record))
            for recording in preload.recordings.values():
                recording.keep_calls = on_writes is not None
        run.write_meta(meta_of(job, tag.run, topology.addresses, topology.views, preload))
        nodes = [_node(address, tag, run, preload) for address in topology.addresses]
        for node in nodes:
            node.net = topology.namespaces.get(node.name)
        launcher = Launcher(
            cluster, nodes, journal.write, views=topology.views, timeouts=job.timeouts
        )
        run.write_programs(_programs_of(launcher))
        try:
            yield RunCluster(launcher, topology.links, preload)
        finally:
            interrupts.stopping = True
            try:
                reasons = _not_recorded(launcher, preload) if on_writes and preload else {}
                launcher.stop_all()
                if on_writes is not None and preload is not None:
                    for name, recording in preload.recordings.items():
                        recording.settle().not_followed += reasons.get(name, [])
                        recording.find_unseen_syncs()
                    on_writes(preload.recordings, journal.epoch_ns)
            finally:
                if not job.options.keep:
                    run.remove_data()
            interrupts.stopping = False


def _not_recorded(launcher: Launcher, preload: PreloadControl) -> dict[str, list[str]]:
    """Why the record of what a node writes is not whole, by node that runs."""
    found = {}
    for node in launcher.nodes.values():
        if node.up:
            reason = preload.why_not_recorded(node.tree(), node.data)
            found[node.name] = [reason] if reason else []
            preload.find_own_calls(node.name, node.tree(), node.data)
    return found


def _temporary(job: Job) -> list[Path]:
    """The folders that exist only during a run; with `--keep` the data directories stay."""
    run, names = job.run, [node.name for node in job.cluster.nodes]
    data = [] if job.options.keep else [run.data(name) for name in names]
    return [*data, *(isolated_data(run.node(name)) for name in names), run.preload]


def _programs_of(launcher: Launcher) -> dict[str, Any]:
    """What clients know of each node, for the run directory."""
    return to_json({name: launcher.describe_client(name) for name in launcher.nodes})


def _message_if_killed(run: RunDirectory) -> str:
    return f"kvsim was killed; its nodes are gone. kvsim report {run.path} draws what was recorded"


def _prepare_preload(
    run: RunDirectory, addresses: Sequence[NodeAddress], record: bool
) -> contextlib.AbstractContextManager[PreloadControl]:
    from kvsim.faults.preload.control import prepare_preload

    folders = {address.node.name: Path(address.data_dir) for address in addresses}
    owners = owners_of(address.node for address in addresses)
    return prepare_preload(run.preload, folders, owners, record=record)


def _node(
    address: NodeAddress, tag: ProcessTag, run: RunDirectory, preload: PreloadControl | None
) -> Node:
    name = address.node.name
    library = (
        Preload(preload.library, preload.variables(name), partial(preload.preparing, name))
        if preload
        else None
    )
    return Node(address, ProcessTag(tag.run, name), run.node(name), library)


@contextlib.contextmanager
def attached(job: Job, journal: Journal, interrupts: Interrupts) -> Iterator[RunCluster]:
    """A launcher for the cluster that is up, and stays as the scenario leaves it.

    The logs of the nodes are copied into the run. Raises UsageError when no cluster is up.
    """
    background = Background(job.cluster, timeouts=job.timeouts)
    with background.locked("attach to it"):
        found = background.attach(journal.write)
        if found is None:
            raise UsageError(
                f"no cluster is up for {job.cluster.path}; kvsim up starts it, "
                "or run without --attach"
            )
        tag, launcher = found
        job.run.write_meta(meta_of(job, tag, list(launcher.addresses.values()), launcher.views))
        job.run.write_programs(_programs_of(launcher))
        for node in launcher.nodes.values():
            launcher.note_attached(node)
        try:
            if background.layout.daemon is None:
                yield RunCluster(launcher)
            else:
                from kvsim.network.proxy_handle import connect_daemon

                with connect_daemon(background.layout.socket) as links:
                    yield RunCluster(launcher, links)
        finally:
            launcher.detach()
            background.write(tag, launcher)
            _copy_logs(job.run, launcher)


def _copy_logs(run: RunDirectory, launcher: Launcher) -> None:
    for node in launcher.nodes.values():
        run.node(node.name).mkdir(parents=True, exist_ok=True)
        for log in find_paths(node.folder, "*.log"):
            shutil.copyfile(log, run.node(node.name) / log.name)
