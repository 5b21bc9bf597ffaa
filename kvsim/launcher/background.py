"""The cluster that is up: `kvsim up` leaves it running in the background, and later commands find it again.

Its state stands in `.kvsim/` beside the cluster file, under an flock while somebody changes it. The state is a hint: processes
are trusted only when pid, start time and boot match. Leaves no process or folder of its own behind after `down`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from kvsim.config.cluster import Cluster
from kvsim.config.names import Place
from kvsim.errors import NodeFailed, UsageError
from kvsim.launcher.laid import NOTHING, Laid
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.net import Net
from kvsim.launcher.node import Node, Note, Orphan
from kvsim.limits import PLAIN, Limits
from kvsim.logs.tail import LogFile
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity
from kvsim.process.ports import reserve
from kvsim.process.sockets import holder, listeners
from kvsim.rundir import write_whole

STATE, LOCK = "state.json", "lock"
Laying = Callable[[str, Sequence[Place], Path], contextlib.AbstractContextManager[Laid]]


class Busy(UsageError):
    """Another kvsim is changing the cluster at this moment."""


class Background:
    """The place of one cluster file's running cluster."""

    def __init__(
        self,
        cluster: Cluster,
        program: str | None = None,
        options: Mapping[str, str] = {},
        limits: Limits = PLAIN,
    ) -> None:
        """`program` and `options` are what was chosen besides the file: later commands find the cluster started so. Those of
        `limits` that the cluster holds are stretched already.
        """
        self.cluster = cluster
        self.limits = limits
        self.folder = _folder(cluster.path)
        self.laid = NOTHING  # between the nodes; known once they were found or started
        self.chosen = {"program": program, "options": dict(options)}

    # --- state -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold the cluster for one change. Raises Busy when another command holds it."""
        path = self.folder / LOCK
        try:
            self.folder.mkdir(exist_ok=True)
            lock = path.open("a+")
        except OSError as error:
            raise UsageError(f"cannot {what}: {path} cannot be written: {error.strerror}") from error
        with lock:
            if not _lock(lock, path):
                raise Busy(f"cannot {what}: another kvsim is changing this cluster just now ({path})")
            yield

    def read(self) -> dict[str, Any] | None:
        """The state as last written; None when no cluster was left up. Raises UsageError for a damaged file."""
        return _read_state(self.folder / STATE)

    def write(self, run: str, launcher: Launcher) -> None:
        nodes = {node.name: _node_state(node) for node in launcher.nodes.values()}
        state = {"cluster": str(self.cluster.path.resolve()), **self.chosen, "run": run, "nodes": nodes}
        state["links"] = self.laid.to_json()
        write_whole(self.folder / STATE, json.dumps(state, indent=1) + "\n")

    # --- launchers ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def fresh(self, note: Note, laying: Laying) -> Iterator[tuple[str, Launcher]]:
        """A launcher for starting the cluster on the ports of its file. What is laid between the nodes stays when all goes well inside."""
        run, places = uuid.uuid4().hex, self._places()
        nodes = [
            Node(place, Mark(run, place.node.name), self._node_folder(place.node.name)) for place in places
        ]
        with laying(run, places, self.folder) as self.laid:
            yield run, self._launcher(nodes, note)

    def _launcher(self, nodes: Sequence[Node], note: Note) -> Launcher:
        return Launcher(
            self.cluster, nodes, note, die_with_parent=False, views=self.laid.views, limits=self.limits
        )

    def found(self, note: Note) -> tuple[str, Launcher] | None:
        """A launcher that holds the nodes which an earlier command left running; None when there is no state."""
        state = self.read()
        if state is None:
            return None
        places = self._places(state)
        self.laid = Laid.from_json(state.get("links"), places)
        return state["run"], self._launcher([self._found_node(place, state) for place in places], note)

    def held(self) -> Launcher:
        """`found` for a command that only looks. Raises UsageError when no cluster is up."""
        found = self.found(lambda *_, **__: None)
        if found is None:
            raise UsageError(f"no cluster is up for {self.cluster.path}; kvsim up starts it")
        found[1].leave()
        return found[1]

    def forget(self, *, keep: bool) -> None:
        """Remove what `up` made, and nothing else; with `keep`, data directories and logs stay for the next `up`."""
        (self.folder / STATE).unlink(missing_ok=True)
        if keep:
            return
        for node in self.cluster.nodes:
            shutil.rmtree(self._node_folder(node.name), ignore_errors=True)
        (self.folder / LOCK).unlink(missing_ok=True)
        for folder in (self.folder / "nodes", self.folder):
            with contextlib.suppress(OSError):  # not empty: something in it is not ours
                folder.rmdir()

    def has_data(self) -> bool:
        """Whether data directories of an earlier `up` are there."""
        return (self.folder / "nodes").exists()

    def refuse_ports_in_use(self) -> None:
        """Raises UsageError naming every port that somebody else listens on, and who that is."""
        taken = []
        for place in self._places():
            if any(one.reaches(place.host) for one in listeners(place.port)):
                found = holder(place.host, place.port)
                taken.append(
                    f"port {place.port} ({place.node.name}) is in use by {found.describe() if found else 'a process that cannot be seen'}"
                )
        if taken:
            raise UsageError("; ".join(taken))

    def _places(self, state: dict[str, Any] | None = None) -> list[Place]:
        """Where the nodes are: on the ports of the file; extra ports without a number are chosen once and kept in the state."""
        known = state["nodes"] if state else {}
        missing = [node.name for node in self.cluster.nodes if node.port is None and node.name not in known]
        if missing:
            raise UsageError(
                f"{self.cluster.path}: {', '.join(missing)} has no `port`, which `kvsim up` needs"
            )
        return [self._place(node, known.get(node.name)) for node in self.cluster.nodes]

    def _place(self, node, known: dict[str, Any] | None) -> Place:
        ports = dict(known["ports"]) if known else {**self._free_ports(node), **node.ports}
        port = known["port"] if known else node.port
        data = str((self._node_folder(node.name) / "data").resolve())
        return Place(node=node, host=self.cluster.host, port=port, data_dir=data, ports=ports)

    def _free_ports(self, node) -> dict[str, int]:
        wanted = [name for name in node.program.ports if name not in node.ports]
        with reserve(len(wanted), self.cluster.host) as reservation:
            return dict(zip(wanted, reservation.ports, strict=True))

    def _node_folder(self, name: str) -> Path:
        return self.folder / "nodes" / name

    def _found_node(self, place: Place, state: dict[str, Any]) -> Node:
        known = state["nodes"].get(place.node.name)
        node = Node(place, Mark(state["run"], place.node.name), self._node_folder(place.node.name))
        if known and known["process"]:
            node.incarnation = known["incarnation"]
            node.process = Orphan(Identity.from_json(known["process"]))
            node.log = LogFile(node.log_path)
            node.end_noted = False
        return node


def chosen(cluster_file: Path) -> tuple[str | None, dict[str, str]]:
    """The program and options that the cluster which is up was started with; nothing when none is up."""
    state = _read_state(_folder(cluster_file) / STATE)
    return (state["program"], state["options"]) if state else (None, {})


def _folder(cluster_file: Path) -> Path:
    return cluster_file.resolve().parent / ".kvsim"


def _read_state(path: Path) -> dict[str, Any] | None:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if not {"run", "nodes", "program", "options"} <= state.keys():
            raise ValueError("it lacks what `kvsim up` writes")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path}: cannot be read as the state of a cluster: {error}; remove it by hand"
        ) from error
    return state


def _lock(lock: IO[str], path: Path) -> bool:
    """Take the lock, if it still is the file at `path`: a `down` may have removed that between open and lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(lock.fileno()).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _node_state(node: Node) -> dict[str, Any]:
    return {
        "port": node.place.port,
        "ports": dict(node.place.ports),
        "incarnation": node.incarnation,
        "process": node.process.identity.to_json() if node.process else None,
        "log": str(node.log_path),
        "data_dir": node.place.data_dir,
    }


@contextlib.contextmanager
def nothing_between(run: str, places: Sequence[Place], folder: Path) -> Iterator[Laid]:
    """Nodes reach each other directly."""
    yield NOTHING


def bring_up(background: Background, note: Note, laying: Laying = nothing_between) -> Launcher:
    """Start a cluster in the background, on what `laying` lays between its nodes. On any failure everything that was started is
    stopped, and nothing is left but data that an earlier `down --keep` had left. A SIGKILL meanwhile is a failure, too.

    Raises UsageError (ports in use), NodeFailed.
    """
    background.refuse_ports_in_use()
    kept = background.has_data()
    try:
        made = background.folder / STATE if kept else background.folder
        with background.fresh(note, laying) as (run, launcher), Net(run, [made]):
            try:
                launcher.start_all(on_spawn=lambda: background.write(run, launcher))
                background.write(run, launcher)
            except BaseException:
                launcher.stop_all()
                raise
    except BaseException:
        background.forget(keep=kept)
        raise
    launcher.leave()
    return launcher


def take_down(background: Background, note: Note, *, keep: bool) -> Launcher | None:
    """Stop whatever is left of the cluster that is up; None when there is none. Safe to repeat."""
    found = background.found(note)
    if found is None:
        background.forget(keep=keep)
        return None
    _, launcher = found
    launcher.stop_all()
    alive = [node.name for node in launcher.nodes.values() if node.up]
    if alive:
        raise NodeFailed(
            alive[0], f"{', '.join(alive)} would not end; its state is kept in {background.folder / STATE}"
        )
    background.laid.take_away()
    background.forget(keep=keep)
    return launcher
