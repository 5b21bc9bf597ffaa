"""The nodes of one cluster: started, stopped, looked at. Knows processes, addresses and logs; knows nothing of keys, roles or faults.

One object for the runner and the commands; how things are done stands in starting.py and stopping.py. Everything that happens to
a process is noted through one callable, `note`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kvsim.client.connect import connect
from kvsim.client.exchange import Client
from kvsim.config.cluster import Cluster
from kvsim.config.names import CLIENT, STRAIGHT, Place, Views
from kvsim.history.addresses import Address, node_at
from kvsim.launcher.cast import Cast
from kvsim.launcher.failing import PortLost
from kvsim.launcher.node import Node, Note
from kvsim.launcher.starting import Starting
from kvsim.launcher.stopping import Stopping
from kvsim.limits import PLAIN, Limits
from kvsim.process.sockets import owned_by
from kvsim.process.tree import become_subreaper, members

__all__ = ["Launcher", "PortLost"]


class Launcher:
    """The nodes of one cluster, by name. Close it with `stop_all`, whatever happened."""

    def __init__(
        self,
        cluster: Cluster,
        nodes: Sequence[Node],
        note: Note,
        *,
        die_with_parent: bool = True,
        views: Views = STRAIGHT,
        limits: Limits = PLAIN,
    ) -> None:
        self.cluster = cluster
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}
        self.places: dict[str, Place] = {node.name: node.place for node in nodes}
        self.note = note
        self.views = views
        self.limits = limits
        self._cast = Cast(cluster, self.nodes, note, views, limits)
        self._starting = Starting(self._cast, die_with_parent)
        self._stopping = Stopping(self._cast)
        become_subreaper()

    # --- starting ----------------------------------------------------------------------------------------------------

    def start_all(self, on_spawn: Callable[[], None] = lambda: None) -> None:
        """Start every node in the program's order and wait until all are ready. Raises NodeFailed, PortLost, SpawnError."""
        self._starting.all(on_spawn)

    def start(self, name: str, within_s: float | None = None) -> None:
        """Start one node that is down and wait until it is ready. Raises NodeFailed."""
        self._starting.one(name, within_s)

    def note_attached(self, node: Node) -> None:
        """Note a node that an earlier command started and that is found running."""
        if node.process is not None:
            self._starting.note_spawn(node, [], attached=True)

    # --- stopping ----------------------------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Stop one node by its program's ladder. Raises NodeFailed when it was not running."""
        self._stopping.stop(name)

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send one signal to a node's tree and wait until it is dead. Raises NodeFailed when it is not running or lives on."""
        self._stopping.kill(name, signal)

    def was_killed(self, name: str, signal: str, why: str) -> None:
        """Note that a node's tree was sent a signal by another hand, and wait until it is dead. Raises NodeFailed when it lives on."""
        self._stopping.was_killed(name, signal, why)

    def stop_all(self) -> None:
        """Stop whatever runs, all under one deadline; note what was left."""
        self._stopping.all()

    def kill_all(self) -> None:
        """KILL everything at once, without a grace: for a second Ctrl-C."""
        self._stopping.kill_all()

    def leave(self) -> None:
        """Let the nodes run on after kvsim has ended."""
        self._cast.guard.close()

    def tolerate_end(self, name: str, why: str) -> bool:
        """From now on a node may end by itself, for this reason: what befalls it is a good one. With "" no longer.

        Returns whether it has ended by itself until now.
        """
        self._cast.reap()
        node = self.nodes[name]
        node.end_tolerated = why
        return node.process is not None and not node.up and not node.end_wanted

    # --- looking -----------------------------------------------------------------------------------------------------

    def reap(self) -> list[Node]:
        """Note the end of every node that has ended since the last look; return those whose end nobody asked for.

        Those too whose end is tolerated.
        """
        return self._cast.reap()

    def names(self, name: str) -> dict[str, Any]:
        """The template names of one node."""
        return self._cast.names(name)

    def connect(self, name: str) -> Client:
        """A fresh client of one node, by the road that clients take."""
        return connect(self.nodes[name].program, *self.client_address(name), names=self.client_names(name))

    def client_address(self, name: str) -> tuple[str, int]:
        """Where kvsim's clients reach a node."""
        place = self.views.of(CLIENT, self.places[name])
        return place.host, place.port

    def client_names(self, name: str) -> dict[str, Any]:
        """The template names of one node for its clients."""
        host, port = self.client_address(name)
        return {**self.names(name), "host": host, "port": str(port), "addr": f"{host}:{port}"}

    def ports_of(self, name: str) -> tuple[int, ...]:
        """Every port by which somebody may name a node."""
        place = self.places[name]
        return (place.port, *place.ports.values(), *self.views.ports_of(name))

    def node_at(self, address: str | None) -> str | None:
        """The node that an address names, however it is written."""
        addresses = {name: Address(place.node.id, self.ports_of(name)) for name, place in self.places.items()}
        return node_at(address, addresses)

    def port_owner(self, name: str) -> dict[str, Any]:
        """Who listens on a node's port, by the operating system's word: `ours`, the pid, and the sentence."""
        node = self.nodes[name]
        host, port = node.address
        if node.process is None:
            return {
                "ours": False,
                "pid": None,
                "strangers": False,
                "says": f"nobody was started for port {port}",
            }
        with node.at_home():
            owned = owned_by(port, [node.process.identity], host)
            if not owned.owned:
                owned = owned_by(port, members(node.process.identity, node.mark), host)
        return {
            "ours": owned.owned,
            "pid": owned.ours[0].pid if owned.ours else None,
            "strangers": bool(owned.strangers),
            "says": owned.describe(),
        }

    def log_has(self, name: str, pattern: str) -> bool:
        """True when a log of the present incarnation has a line matching the pattern."""
        return self.nodes[name].search(pattern)

    def look_at_logs(self) -> None:
        """Note how long the logs are now, so that their lines can be placed in time; the guard does so all the while."""
        self._cast.guard.look()
