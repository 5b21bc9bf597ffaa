"""The nodes of one cluster, their addresses and their journal: what the launcher's parts share.

Starts and stops nothing.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from kvsim.config.cluster import Cluster
from kvsim.config.names import CLIENT
from kvsim.launcher.node import LAST_LINES, Node, Note
from kvsim.launcher.usage_watcher import UsageWatcher
from kvsim.logs.size_watcher import LogGrowth, SizeWatcher
from kvsim.network.addresses import DIRECT_VIEWS, AddressViews, NodeAddress, names_for
from kvsim.process.child import ExitStatus
from kvsim.process.presence import Presence
from kvsim.process.process_tree import Snapshot
from kvsim.timeouts import PLAIN, Timeouts, timeout_usage
from kvsim.waiting import Deadline

# For emptying a pseudo-terminal after the end of its program.
DRAIN_WAIT_S = 1.0


@dataclass
class LauncherState:
    """All nodes by name, in the order of the cluster file. `close` stops watching them.
    `presence` tells other processes which nodes do not run.

    `note` writes an event to the journal. `timeouts` stretches the time limits that no file has.
    """

    cluster: Cluster
    nodes: dict[str, Node]
    note: Note
    views: AddressViews = DIRECT_VIEWS
    timeouts: Timeouts = PLAIN
    log_watcher: SizeWatcher = field(init=False)
    presence: Presence = field(init=False)
    usage_watcher: UsageWatcher = field(init=False)

    def __post_init__(self) -> None:
        self.presence = Presence(list(self.nodes))
        self.log_watcher = SizeWatcher(self._kill_flooding, on_growth=self._note_growth).start()
        self.usage_watcher = UsageWatcher(list(self.nodes.values()), self.note).start()

    def close(self) -> None:
        self.log_watcher.close()
        self.presence.close()
        self.usage_watcher.close()

    @property
    def addresses(self) -> dict[str, NodeAddress]:
        return {name: node.address for name, node in self.nodes.items()}

    def names(self, name: str) -> dict[str, Any]:
        """The template names of a node."""
        addresses = [self.views.of(name, address) for address in self.addresses.values()]
        return names_for(self.cluster, self.nodes[name].address, addresses)

    def client_names(self, name: str) -> tuple[dict[str, Any], tuple[str, int]]:
        """The template names of a node for its clients, and where they reach it."""
        host, port = self.views.of(CLIENT, self.nodes[name].address).host_port
        own = {"host": host, "port": str(port), "addr": f"{host}:{port}"}
        return {**self.names(name), **own}, (host, port)

    def reap(self) -> list[Node]:
        """Note the end of every node that has ended since the last call.

        Returns those whose end kvsim did not request.
        """
        ended = [
            node
            for node in self.nodes.values()
            if not node.end_noted and node.process and not node.up
        ]
        # One look at the process table for all of them.
        snapshot = ended[0].look() if ended else None
        for node in ended:
            self._note_end(node, snapshot)
        return [node for node in ended if not node.end_requested]

    def watch_logs(self, node: Node) -> None:
        """Watch the size of all logs of a node: its output, and its extra logs that exist now."""
        for log in (node.log, *node.extra_logs()):
            self.log_watcher.add(node.name, log.path, node.program.log.limit_bytes)

    def note_timeout_use(self, what: str, node: Node, deadline: Deadline) -> None:
        """Note how much of its time limit an action has used."""
        self.note(
            "limit", **timeout_usage(what, node.name, deadline.needed_s(), deadline.timeout_s)
        )

    def note_signal(self, node: Node, signal: str, why: str, **more: Any) -> None:
        self.note(
            "signal", node=node.name, incarnation=node.incarnation, signal=signal, why=why, **more
        )

    def _note_end(self, node: Node, snapshot: Snapshot | None) -> None:
        node.end_noted = True
        if not node.tree(node.known, snapshot):
            self.presence.has_ended(node.name)
        node.drain(Deadline.after(DRAIN_WAIT_S))
        for log in (node.log, *node.extra_logs()):
            self.log_watcher.remove(log.path)
        node.keep_extra_logs()
        exit_status = node.started_process.poll() or ExitStatus()
        fields: dict[str, object] = {
            **exit_status.to_json(),
            "requested": node.end_requested,
            "flooded": node.flooded,
        }
        if node.end_tolerated and not node.end_requested:
            fields["tolerated"] = node.end_tolerated
        tail = [] if node.end_requested else node.log.last(LAST_LINES)
        self.note("exit", node=node.name, incarnation=node.incarnation, **fields, tail=tail)

    def _note_growth(self, growth: LogGrowth) -> None:
        node = self.nodes[growth.name]
        if growth.path == node.log_path and growth.size:
            self.note("log", node=node.name, incarnation=node.incarnation, size=growth.size)

    def _kill_flooding(self, growth: LogGrowth) -> None:
        node = self.nodes[growth.name]
        node.flooded = True
        node.end_tolerated = "kvsim killed it: its log was too large"
        for process in node.tree():
            process.signal(signal.SIGKILL)
