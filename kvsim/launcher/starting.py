"""Start nodes in their program's order and wait until they are ready. Spawns from the main thread only.

Each wait asks "dead?" before "ready?", and all gates of a wait share one deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kvsim.config.program import Command, Role
from kvsim.errors import NodeFailed
from kvsim.launcher import adopting, failing
from kvsim.launcher.cast import Cast
from kvsim.launcher.failing import PortLost
from kvsim.launcher.node import Node
from kvsim.launcher.preparing import prepare, run_command, start_plan
from kvsim.launcher.readiness import Gates
from kvsim.logs.tail import LogFile
from kvsim.process.sockets import holder, listeners
from kvsim.process.spawn import spawn
from kvsim.waiting import Deadline, TimedOut, wait_until


@dataclass(frozen=True)
class Starting:
    """`die_with_parent`: nodes end with kvsim, however it ends."""

    cast: Cast
    die_with_parent: bool = True

    def all(self, on_spawn: Callable[[], None] = lambda: None) -> None:
        """Start every node and wait until all are ready, then until the cluster is. Raises NodeFailed, PortLost, SpawnError."""
        for batch in batches(list(self.cast.nodes.values())):
            gates = [self._spawn(node) for node in batch]
            on_spawn()
            self._wait_ready(gates)
            on_spawn()  # a daemon has another pid by now
        for node in self.cast.nodes.values():
            self._after_start(node)
        self._wait_cluster_ready(self.cast.nodes.values())

    def one(self, name: str, within_s: float | None = None) -> None:
        """Start one node that is down and wait until it is ready, and takes its part when all others are up. Raises NodeFailed."""
        node = self.cast.nodes[name]
        if node.up:
            raise NodeFailed(
                name, f"node {name} is running already (pid {node.process.pid}); stop it before starting it"
            )
        self._wait_ready([self._spawn(node)], within_s)
        self._after_start(node)
        if all(other.up for other in self.cast.nodes.values()):
            self._wait_cluster_ready([node])

    # --- spawning ----------------------------------------------------------------------------------------------------

    def _spawn(self, node: Node) -> Gates:
        names = self.cast.names(node.name)
        self._refuse_strangers(node)
        prepare(node, names)
        node.next_incarnation()
        start = start_plan(node, names, die_with_parent=self.die_with_parent)
        node.process, node.log, node.known = spawn(start), LogFile(node.log_path), []
        node.end_wanted = node.end_noted = node.flooded = False
        self.cast.watch(node)
        self.note_spawn(node, list(start.argv))
        return Gates(node, names, node.program.ready, self.cast.limits)

    def note_spawn(self, node: Node, argv: list[str], *, attached: bool = False) -> None:
        self.cast.note(
            "spawn",
            node=node.name,
            incarnation=node.incarnation,
            pid=node.process.pid,
            start_ticks=node.process.identity.start_ticks,
            argv=argv,
            address=f"{node.place.host}:{node.place.port}",
            attached=attached,
            ready_within_s=node.program.ready.within_s,
        )

    def _refuse_strangers(self, node: Node) -> None:
        """Yesterday's server on the port is named, not believed."""
        host, port = node.address
        with node.at_home():
            taken = any(one.reaches(host) for one in listeners(port))
            found = holder(host, port) if taken else None
        if taken:
            who = found.describe() if found else "a process that cannot be seen"
            raise PortLost(node.name, f"node {node.name}: its port {port} is in use by {who}")

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _wait_ready(self, all_gates: Sequence[Gates], within_s: float | None = None) -> None:
        deadline = Deadline.after(within_s or max(gates.ready.within_s for gates in all_gates))
        waiting = list(all_gates)

        def opened() -> bool:
            for gates in [gates for gates in waiting if self._is_there(gates.node) and gates.open()]:
                waiting.remove(gates)
                self._note_ready(gates, deadline)
            return not waiting

        try:
            wait_until(opened, deadline, "all nodes ready", dead=lambda: self._raise_dead(waiting))
        except TimedOut:
            self._raise_dead(waiting, in_time=False)
            raise failing.not_ready(self.cast, waiting[0], deadline.budget_s) from None
        finally:
            for gates in all_gates:
                gates.close()

    def _note_ready(self, gates: Gates, deadline: Deadline) -> None:
        node = gates.node
        kind = "ready" if gates.ready is node.program.ready else "cluster_ready"
        self.cast.note(kind, node=node.name, incarnation=node.incarnation, gates=gates.passed)
        self.cast.note_limit(kind.replace("_", " "), node, deadline)
        self.cast.watch(node)

    def _raise_dead(self, waiting: Iterable[Gates], *, in_time: bool = True) -> None:
        for gates in waiting:
            node = gates.node
            if node.up or self._is_or_becomes_a_daemon(node, in_time):
                continue
            self.cast.reap()
            raise failing.died(self.cast, node, node.process.poll())

    def _is_there(self, node: Node) -> bool:
        return node.up and adopting.settled(self.cast, node)

    def _is_or_becomes_a_daemon(self, node: Node, in_time: bool) -> bool:
        return adopting.may_come(node) and (adopting.adopt(self.cast, node) or in_time)

    def _after_start(self, node: Node) -> None:
        """Once for each data directory, when the node is ready."""
        if node.program.after_start and not node.did("after_start"):
            for command in node.program.after_start:
                run_command(node, command, self.cast.names(node.name), "after_start")
            node.did_now("after_start")

    def _wait_cluster_ready(self, nodes: Iterable[Node]) -> None:
        """What only a whole cluster can show (a leader exists, a replica's link is up), where a program asks for it."""
        waiting = [
            Gates(node, self.cast.names(node.name), node.program.cluster_ready, self.cast.limits)
            for node in nodes
            if node.program.cluster_ready.all_of or node.program.cluster_ready.any_of
        ]
        if waiting:
            self._wait_ready(waiting)


def batches(nodes: list[Node]) -> list[list[Node]]:
    """Who starts together, in order: by the program's `order`, and whoever needs the leader for its `init` after the leader."""
    order = nodes[0].program.order
    leaders = [node for node in nodes if node.spec.role is Role.LEADER]
    others = [node for node in nodes if node not in leaders]
    needy = [node for node in others if _needs_leader(node)]
    if order == "leader_first":
        found = [leaders, others]
    elif order == "followers_first":
        found = [[node for node in others if node not in needy], leaders, needy]
    else:
        found = [[node for node in nodes if node not in needy], needy]
    return [batch for batch in found if batch]


def _needs_leader(node: Node) -> bool:
    """Only its first start needs it: later its data directory is there."""
    return not node.did("init") and any(_asks(command, node) for command in node.program.init)


def _asks(command: Command, node: Node) -> bool:
    return command.needs == "leader" and node.spec.role in command.roles
