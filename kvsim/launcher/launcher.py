"""The nodes of one cluster: started, stopped, observed.

It is the interface for the runner and the commands. How nodes are started and stopped is in `start`
and `stop`. Every event of a process is written by one callable, `note`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kvsim.client.connect import connect
from kvsim.client.description import ClientDescription
from kvsim.client.exchange import Client
from kvsim.config.cluster import Cluster
from kvsim.config.names import CLIENT
from kvsim.history.node_lookup import NodeIdentifiers, node_at
from kvsim.launcher.node import Node, Note
from kvsim.launcher.prepare import start_words
from kvsim.launcher.start import NodeStarter
from kvsim.launcher.start_errors import PortLost
from kvsim.launcher.state import LauncherState
from kvsim.launcher.stop import NodeStopper
from kvsim.network.addresses import DIRECT_VIEWS, AddressViews, NodeAddress
from kvsim.process.process_tree import become_subreaper
from kvsim.process.sockets import owned_by
from kvsim.timeouts import PLAIN, Timeouts

__all__ = ["Launcher", "PortLost"]


class Launcher:
    """The nodes of one cluster, by name. Always close it with `stop_all` or `detach`."""

    def __init__(
        self,
        cluster: Cluster,
        nodes: Sequence[Node],
        note: Note,
        *,
        die_with_parent: bool = True,
        views: AddressViews = DIRECT_VIEWS,
        timeouts: Timeouts = PLAIN,
    ) -> None:
        self.cluster = cluster
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}
        self.addresses: dict[str, NodeAddress] = {node.name: node.address for node in nodes}
        self.note = note
        self.views = views
        self.timeouts = timeouts
        self._state = LauncherState(cluster, self.nodes, note, views, timeouts)
        self._starter = NodeStarter(self._state, die_with_parent)
        self._stopper = NodeStopper(self._state)
        become_subreaper()

    # --- starting ---------------------------------------------------------------------------------

    def start_all(self, on_spawn: Callable[[], None] = lambda: None) -> None:
        """Start every node in the program's order and wait until all are ready.

        `on_spawn` is called whenever processes were started. Raises NodeFailed, PortLost,
        SpawnError.
        """
        self._starter.start_all(on_spawn)

    def start(self, name: str, within_s: float | None = None) -> None:
        """Start a node that is down and wait until it is ready. Raises NodeFailed."""
        self._starter.start(name, within_s)

    def start_together(self, names: Sequence[str], within_s: float | None = None) -> None:
        """Start nodes that are down at once, and wait until all are ready. Raises NodeFailed."""
        self._starter.start_together(names, within_s)

    def note_attached(self, node: Node) -> None:
        """Note a node that an earlier command started and that is found running."""
        if node.process is not None:
            self._starter.note_spawn(node, [], attached=True)

    # --- stopping ---------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Stop a node by its program's stop sequence. Raises NodeFailed when it is not up."""
        self._stopper.stop(name)

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send a signal to a node's tree and wait until it is dead.

        Raises NodeFailed when it is not running, or survives.
        """
        self._stopper.kill(name, signal)

    def expect_end(self, name: str) -> None:
        """A node is going to end because kvsim ends it, although not by this launcher."""
        self.nodes[name].end_requested = True

    def record_kill(self, name: str, signal: str, why: str) -> None:
        """Note a signal that the caller sent to a node's tree, and wait until it is dead.

        Raises NodeFailed when it survives.
        """
        self._stopper.record_kill(name, signal, why)

    def stop_all(self) -> None:
        """Stop all nodes that run, in parallel; note what was left of them."""
        self._stopper.stop_all()

    def kill_all(self) -> None:
        """KILL everything at once, for a second Ctrl-C."""
        self._stopper.kill_all()

    def detach(self) -> None:
        """Let the nodes run on after kvsim has ended."""
        self._state.close()

    def tolerate_end(self, name: str, why: str) -> bool:
        """From now on a node may end by itself, for the reason `why`; with "" no longer.

        Returns whether it has ended by itself already.
        """
        self._state.reap()
        node = self.nodes[name]
        node.end_tolerated = why
        return node.process is not None and not node.up and not node.end_requested

    # --- observing --------------------------------------------------------------------------------

    def reap(self) -> list[Node]:
        """Note the end of every node that has ended since the last call.

        Returns those whose end kvsim did not request, tolerated ends included.
        """
        return self._state.reap()

    def names(self, name: str) -> dict[str, Any]:
        """The template names of a node."""
        return self._state.names(name)

    def connect(self, name: str) -> Client:
        """A new client of a node, at the address for clients."""
        return connect(
            self.nodes[name].program, *self.client_address(name), names=self.client_names(name)
        )

    def describe_client(self, name: str) -> ClientDescription:
        """What a client of a node is made of."""
        node = self.nodes[name]
        return ClientDescription(
            node.program,
            *self.client_address(name),
            names=self.client_names(name),
            start=start_words(node, self._state.names(name)),
            ready_within_s=node.program.ready.within_s,
        )

    def client_address(self, name: str) -> tuple[str, int]:
        """Where kvsim's clients reach a node."""
        return self.views.of(CLIENT, self.addresses[name]).host_port

    def client_names(self, name: str) -> dict[str, Any]:
        """The template names of a node for its clients."""
        return self._state.client_names(name)[0]

    def ports_of(self, name: str) -> tuple[int, ...]:
        """Every port by which a reply may name a node."""
        address = self.addresses[name]
        return (address.port, *address.ports.values(), *self.views.ports_of(name))

    def hosts_of(self, name: str) -> tuple[str, ...]:
        """Every host by which a reply may name a node."""
        return self.views.hosts_of(self.addresses[name])

    def node_at(self, address: str | None) -> str | None:
        """The node that an address names, in any of its forms; None: no node."""
        addresses = {
            name: NodeIdentifiers(known.node.id, self.ports_of(name), self.hosts_of(name))
            for name, known in self.addresses.items()
        }
        return node_at(address, addresses)

    def port_owner(self, name: str) -> dict[str, Any]:
        """Which process listens on a node's port, by the kernel's tables.

        `owned`: the node does, and no other process; `pid`: its process; `foreign`: another process
        does; `description`: one sentence on who has it, empty where `owned`.
        """
        node = self.nodes[name]
        host, port = node.address.host_port
        if node.process is None:
            return {
                "owned": False,
                "pid": None,
                "foreign": False,
                "description": f"no process was started for port {port}",
            }
        with node.in_network_namespace():
            owned = owned_by(port, [node.process.identity], host)
            if not owned.owned:
                owned = owned_by(port, node.tree(), host)
        return {
            "owned": owned.owned,
            "pid": owned.own[0].pid if owned.own else None,
            "foreign": bool(owned.conflicting),
            "description": "" if owned.owned else owned.describe(),
        }

    @property
    def presence(self) -> Path:
        """Where a load finds out which nodes do not run (`kvsim.process.presence`)."""
        return self._state.presence.path

    def log_has(self, name: str, pattern: str) -> bool:
        """Whether a log of the present incarnation has a line matching the pattern."""
        return self.nodes[name].search(pattern)

    def record_log_sizes(self) -> None:
        """Note the sizes of all logs now, so that their lines can be dated.

        The log watcher does this ten times a second.
        """
        self._state.log_watcher.check_sizes()
