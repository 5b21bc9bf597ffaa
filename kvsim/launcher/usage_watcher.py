"""Watches what running nodes use and touch: memory, threads, files, disk; files that they write
outside their data directory; addresses on which they listen.

One thread. Judges nothing, and ends no process. A file that is open between two samples only is
not noticed here, unless it stays in the working directory.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvsim.ip_addresses import is_loopback
from kvsim.launcher.node import Node, Note
from kvsim.process import procfs
from kvsim.process.identity import Identity
from kvsim.process.process_tree import Snapshot
from kvsim.process.sockets import Listener, listening
from kvsim.process.usage import usage_of
from kvsim.structs import to_dict

PERIOD_S = 0.25
# What kvsim itself writes into the folder of a node.
OWN_LOG = re.compile(r"(\d+(-.*)?|init|after_start|stop)\.log")


class UsageWatcher:
    """Samples the nodes four times a second, in a daemon thread, and notes what it finds.

    `usage`: what a node uses. `outside_file`, once for each path: a file outside its data directory
    that a node has open for writing, or has left in its working directory. `listener`, once: an
    address that it was not given. What raises is added to `failures` and ends nothing.
    """

    def __init__(self, nodes: Sequence[Node], note: Note, period_s: float = PERIOD_S) -> None:
        self.failures: list[Exception] = []
        self._nodes, self._note, self._period_s = nodes, note, period_s
        self._noted: set[tuple[object, ...]] = set()
        # One sample at a time: the thread's, or the last one before nodes are stopped.
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kvsim-usage", daemon=True)

    def start(self) -> UsageWatcher:
        self._thread.start()
        return self

    def close(self) -> None:
        """End the thread. Safe to repeat."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, nodes: Sequence[Node]) -> None:
        """Note what these nodes touch now: before they are stopped."""
        self._sample(nodes, with_usage=False)

    def note_left_files(self, node: Node) -> None:
        """Note what an ended node has left in its working directory, where that is its own."""
        if node.program.cwd is None and node.folder.is_dir():
            for path in sorted(node.folder.iterdir()):
                if path.is_file() and not _is_own_file(node, path):
                    self._note_file(node, str(path), "left in its working directory")

    def _watch(self) -> None:
        while not self._stop.wait(self._period_s):
            self._sample(self._nodes, with_usage=True)

    def _sample(self, nodes: Sequence[Node], *, with_usage: bool) -> None:
        try:
            with self._lock:
                snapshot = Snapshot()
                for node in nodes:
                    self._observe(node, snapshot, with_usage)
        except Exception as error:
            self.failures.append(error)

    def _observe(self, node: Node, snapshot: Snapshot, with_usage: bool) -> None:
        process = node.process
        if process is None:
            return
        tree = snapshot.members(process.identity, node.tag, node.known)
        if not tree:
            return
        if with_usage:
            usage = usage_of(tree, node.data)
            # A process that is about to end has no memory any more.
            if usage.memory:
                fields = to_dict(usage)
                self._note("usage", node=node.name, incarnation=node.incarnation, **fields)
        for path in sorted({path for one in tree for path in procfs.written_files(one.pid)}):
            if not _is_below(node.data, path) and not _is_own_file(node, Path(path)):
                self._note_file(node, path, "open for writing")
        for listener in _not_given(node, tree):
            fields = {"address": listener.address, "port": listener.port}
            self._note_once("listener", node, **fields)

    def _note_file(self, node: Node, path: str, how: str) -> None:
        if (node.name, path) not in self._noted:
            self._noted.add((node.name, path))
            self._note_once("outside_file", node, path=path, how=how)

    def _note_once(self, kind: str, node: Node, **fields: object) -> None:
        key = (kind, node.name, node.incarnation, *fields.values())
        if key not in self._noted:
            self._noted.add(key)
            self._note(kind, node=node.name, incarnation=node.incarnation, **fields)


def _not_given(node: Node, tree: Sequence[Identity]) -> Iterator[Listener]:
    """The listeners of a node beyond loopback and its own host, or on ports it was not given."""
    address = node.address
    ports = {address.port, *address.ports.values()}
    with node.in_network_namespace():
        found = listening(tree)
    for listener in found:
        is_near = is_loopback(listener.address) or listener.address == address.host
        if not is_near or listener.port not in ports:
            yield listener


def _is_below(folder: Path, path: str) -> bool:
    return f"{path}/".startswith(f"{folder.resolve()}/")


def _is_own_file(node: Node, path: Path) -> bool:
    """Whether kvsim gave the node this file: its output, or the page of the preloaded library."""
    if node.preload is not None and str(path) in node.preload.variables.values():
        return True
    in_folder = path.parent.resolve() == node.folder.resolve()
    beside_data = path.name.startswith(f"{node.data.name}.")
    return in_folder and (bool(OWN_LOG.fullmatch(path.name)) or beside_data)
