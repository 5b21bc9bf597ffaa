"""The cluster that is up: `kvsim up` leaves it running, and later commands find it again.

Its state is in `.kvsim/` beside the cluster file, under an flock while a command changes it. The
state is a hint: a process is trusted only when pid, start time and boot match. After `down`, no
process and no folder of it is left.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.program import Program, Role, Stop
from kvsim.errors import NodeFailed, UsageError
from kvsim.file_formats import format_fields, other_format
from kvsim.launcher.command_plan import PlannedStopStep, stop_steps_from_json, stop_steps_to_json
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node, Note, Orphan, note_nothing
from kvsim.launcher.watchdog_guard import WatchdogGuard
from kvsim.network.addresses import NodeAddress
from kvsim.network.layout import CONTROL_FOLDER, DIRECT_LAYOUT, BuildLayout, Layout, direct_layout
from kvsim.process.environment import ProcessTag, new_run_tag
from kvsim.process.identity import Identity
from kvsim.process.ports import reserve
from kvsim.process.sockets import LOOPBACK, describe_holder, listeners
from kvsim.run_directory import remove_folder, write_atomic
from kvsim.timeouts import PLAIN, Timeouts

STATE, LOCK = "state.json", "lock"
# The format of the state.
STATE_FORMAT = 1
# For nodes whose state has none.
DEFAULT_STOP = tuple(PlannedStopStep(step.signal, step.wait_s) for step in Stop().steps)
STATE_KEYS = frozenset({"run", "nodes", "program", "options"})
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


class ClusterBusy(UsageError):
    """Another kvsim is changing the cluster at this moment."""


class Background:
    """The running cluster of a cluster file."""

    def __init__(
        self,
        cluster: Cluster,
        program: str | None = None,
        options: Mapping[str, str] = NO_OPTIONS,
        timeouts: Timeouts = PLAIN,
    ) -> None:
        """`program` and `options` were chosen on the command line, besides the file.

        The state keeps them for later commands. The time limits in `cluster` are stretched by
        `timeouts` already.
        """
        self.cluster = cluster
        self.timeouts = timeouts
        self.folder = _folder(cluster.path)
        # Between the nodes. Known once they were found or started.
        self.layout = DIRECT_LAYOUT
        self.choices = {"program": program, "options": dict(options)}

    # --- state ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Lock the cluster for a change. Raises ClusterBusy when another command has locked it."""
        path = self.folder / LOCK
        try:
            self.folder.mkdir(exist_ok=True)
            lock = path.open("a+")
        except OSError as error:
            raise UsageError(
                f"cannot {what}: {path} cannot be written: {error.strerror}"
            ) from error
        with lock:
            if not _lock(lock, path):
                raise ClusterBusy(
                    f"cannot {what}: another kvsim is changing this cluster just now ({path})"
                )
            yield

    @classmethod
    def as_started(cls, cluster_file: Path) -> Background | None:
        """The cluster that is up, from its state alone: the cluster file may be wrong or gone.

        Enough for stopping it. None when no cluster is up. Raises UsageError for a damaged state,
        or when the cluster that is up has another file.
        """
        path = _folder(cluster_file) / STATE
        state = _read_state(path)
        if state is None:
            return None
        file = Path(state.get("cluster", cluster_file.resolve()))
        if file != cluster_file.resolve():
            raise UsageError(
                f"the cluster that is up here was started from {file}: kvsim down --cluster {file}"
            )
        with _valid_state(path):
            nodes = tuple(
                _recorded_node(name, entry, number)
                for number, (name, entry) in enumerate(state["nodes"].items(), 1)
            )
            cluster = Cluster(
                str(state.get("name", "")), file, nodes, host=str(state.get("host", LOOPBACK))
            )
            return cls(cluster, state["program"], state["options"])

    def read(self) -> dict[str, Any] | None:
        """The state as last written; None when no cluster is up.

        Raises UsageError for a damaged file.
        """
        return _read_state(self.folder / STATE)

    def write(self, run: str, launcher: Launcher) -> None:
        state = {
            **format_fields(STATE_FORMAT),
            "cluster": str(self.cluster.path.resolve()),
            "name": self.cluster.name,
            "host": self.cluster.host,
            **self.choices,
            "run": run,
            "nodes": {node.name: _node_state(node) for node in launcher.nodes.values()},
            "links": self.layout.to_json(),
        }
        write_atomic(self.folder / STATE, json.dumps(state, indent=1) + "\n")

    def remove(self, *, keep: bool) -> None:
        """Remove what `up` made, and nothing else.

        With `keep`, data directories and logs stay for the next `up`.
        """
        (self.folder / STATE).unlink(missing_ok=True)
        if keep:
            return
        for node in self.cluster.nodes:
            remove_folder(self._node_folder(node.name))
        remove_folder(self.folder / CONTROL_FOLDER)
        (self.folder / LOCK).unlink(missing_ok=True)
        for folder in (self.folder / "nodes", self.folder):
            # Not empty: it contains something that kvsim did not make.
            with contextlib.suppress(OSError):
                folder.rmdir()

    def has_data(self) -> bool:
        """Whether there are data directories of an earlier `up`."""
        return (self.folder / "nodes").exists()

    # --- launchers --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def create(self, run: str, note: Note, build_layout: BuildLayout) -> Iterator[Launcher]:
        """A launcher for starting the cluster on the ports of its file. `run`: its new tag.

        What `build_layout` builds between the nodes stays when the block ends without error.
        """
        addresses = self._addresses()
        nodes = [self._node(address, run) for address in addresses]
        with build_layout(run, addresses, self.folder) as self.layout:
            yield self._launcher(nodes, note)

    def attach(self, note: Note) -> tuple[str, Launcher] | None:
        """The tag of the run, and a launcher with the nodes that an earlier command started.

        None when no cluster is up.
        """
        state = self.read()
        if state is None:
            return None
        with _valid_state(self.folder / STATE):
            self.choices = {"program": state["program"], "options": state["options"]}
            addresses = self._addresses(state)
            self.layout = Layout.from_json(state.get("links"), addresses)
            nodes = [self._attached_node(address, state) for address in addresses]
            return str(state["run"]), self._launcher(nodes, note)

    def attach_read_only(self) -> Launcher:
        """`attach` for a command that changes nothing. Raises UsageError when no cluster is up."""
        found = self.attach(note_nothing)
        if found is None:
            raise UsageError(f"no cluster is up for {self.cluster.path}; kvsim up starts it")
        _, launcher = found
        launcher.detach()
        return launcher

    def _launcher(self, nodes: Sequence[Node], note: Note) -> Launcher:
        return Launcher(
            self.cluster,
            nodes,
            note,
            die_with_parent=False,
            views=self.layout.views,
            timeouts=self.timeouts,
        )

    def _node(self, address: NodeAddress, run: str) -> Node:
        name = address.node.name
        return Node(address, ProcessTag(run, name), self._node_folder(name))

    def _attached_node(self, address: NodeAddress, state: dict[str, Any]) -> Node:
        node = self._node(address, state["run"])
        known = state["nodes"].get(node.name)
        if known and known["process"]:
            node.incarnation = known["incarnation"]
            node.process = Orphan(Identity.from_json(known["process"]))
            # A state that an earlier version wrote has no stop sequence.
            node.stop_steps = (
                stop_steps_from_json(known["stop"]) if "stop" in known else DEFAULT_STOP
            )
            node.end_noted = False
        return node

    def _node_folder(self, name: str) -> Path:
        return self.folder / "nodes" / name

    # --- addresses --------------------------------------------------------------------------------

    def refuse_used_ports(self) -> None:
        """Raises UsageError naming every port on which a process listens, and the process."""
        used = []
        for address in self._addresses():
            host, port = address.host_port
            if any(listener.reaches(host) for listener in listeners(port)):
                name = describe_holder(port, host)
                used.append(f"port {port} ({address.node.name}) is in use by {name}")
        if used:
            raise UsageError("; ".join(used))

    def _addresses(self, state: dict[str, Any] | None = None) -> list[NodeAddress]:
        """Of all nodes, on the ports of the file.

        Extra ports without a number are chosen once and recorded in the state.
        """
        known = state["nodes"] if state else {}
        missing = [
            node.name for node in self.cluster.nodes if node.port is None and node.name not in known
        ]
        if missing:
            raise UsageError(
                f"{self.cluster.path}: {', '.join(missing)} has no `port`, which `kvsim up` needs"
            )
        return [self._address(node, known.get(node.name)) for node in self.cluster.nodes]

    def _address(self, node: NodeSpec, known: dict[str, Any] | None) -> NodeAddress:
        ports = dict(known["ports"]) if known else {**self._free_ports(node), **node.ports}
        port = known["port"] if known else node.port
        assert port is not None, "checked by _addresses"
        data = str((self._node_folder(node.name) / "data").resolve())
        return NodeAddress(node=node, host=self.cluster.host, port=port, data_dir=data, ports=ports)

    def _free_ports(self, node: NodeSpec) -> dict[str, int]:
        names = [name for name in node.program.ports if name not in node.ports]
        with reserve(len(names), self.cluster.host) as reservation:
            return dict(zip(names, reservation.ports, strict=True))


def read_choices(cluster_file: Path) -> tuple[str | None, dict[str, str]]:
    """The program and options of the cluster that is up; no choice when none is up."""
    state = _read_state(_folder(cluster_file) / STATE)
    return (state["program"], state["options"]) if state else (None, {})


def _folder(cluster_file: Path) -> Path:
    return cluster_file.resolve().parent / ".kvsim"


def _read_state(path: Path) -> dict[str, Any] | None:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(state, dict):
            raise ValueError("it is not an object")
        if state.get("format") != STATE_FORMAT:
            raise UsageError(other_format(f"{path}: the state of a cluster", state, STATE_FORMAT))
        if not state.keys() >= STATE_KEYS:
            raise ValueError("it lacks what `kvsim up` writes")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read as the state of a cluster: {error}; remove it"
        ) from error
    return state


@contextlib.contextmanager
def _valid_state(path: Path) -> Iterator[None]:
    """Inside, values of the state are read. Raises UsageError for a value of the wrong kind."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path}: cannot be read as the state of a cluster ({error!r}); end its processes, "
            "then remove it"
        ) from error


def _recorded_node(name: str, entry: Mapping[str, Any], number: int) -> NodeSpec:
    """A node as far as stopping it needs it."""
    program = Program("", Path(), start={})
    role = Role(entry.get("role", Role.LEADER))
    return NodeSpec(name=name, role=role, program=program, id=number, port=entry["port"])


def _lock(lock: IO[str], path: Path) -> bool:
    """Take the lock, if it still is the file at `path`.

    A `down` may have removed that file between open and lock.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(lock.fileno()).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _node_state(node: Node) -> dict[str, Any]:
    return {
        "role": node.spec.role,
        "port": node.address.port,
        "ports": dict(node.address.ports),
        "incarnation": node.incarnation,
        "process": node.process.identity.to_json() if node.process else None,
        "log": str(node.log_path),
        "data_dir": node.address.data_dir,
        "stop": stop_steps_to_json(node.stop_steps),
    }


def bring_up(
    background: Background, note: Note, build_layout: BuildLayout = direct_layout
) -> Launcher:
    """Start a cluster in the background, on what `build_layout` builds between its nodes.

    On any failure everything that was started is stopped, and only the data that an earlier
    `down --keep` had left is kept. A SIGKILL of kvsim meanwhile is such a failure, too. Raises
    UsageError (ports in use), NodeFailed.
    """
    background.refuse_used_ports()
    run, kept = new_run_tag(), background.has_data()
    made = [STATE, CONTROL_FOLDER] if kept else [""]
    try:
        with (
            # First, so that it is there before anything is made.
            WatchdogGuard(run, [background.folder / name for name in made]),
            background.create(run, note, build_layout) as launcher,
        ):
            try:
                launcher.start_all(on_spawn=lambda: background.write(run, launcher))
                background.write(run, launcher)
            except BaseException:
                launcher.stop_all()
                raise
    except BaseException:
        background.remove(keep=kept)
        raise
    launcher.detach()
    return launcher


def take_down(background: Background, note: Note, *, keep: bool) -> Launcher | None:
    """Stop what is left of the cluster that is up; None when none is up. Safe to repeat."""
    found = background.attach(note)
    if found is None:
        background.remove(keep=keep)
        return None
    _, launcher = found
    launcher.stop_all()
    alive = [node.name for node in launcher.nodes.values() if node.up]
    if alive:
        raise NodeFailed(
            alive[0],
            f"{', '.join(alive)} did not end; its state stays in {background.folder / STATE}",
        )
    background.layout.remove()
    background.remove(keep=keep)
    return launcher
