"""Starts nodes in their program's order and waits until they are ready.

Spawns from the main thread only. Each wait asks "dead?" before "ready?". All probes of a wait share
one deadline.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from kvsim.config.program import Command, Role
from kvsim.errors import WrongState
from kvsim.launcher import daemonized, start_errors
from kvsim.launcher.node import Node
from kvsim.launcher.prepare import plan_stop, prepare, run_for_role, start_plan
from kvsim.launcher.readiness import Readiness
from kvsim.launcher.state import LauncherState
from kvsim.process.sockets import listeners
from kvsim.process.spawn import spawn
from kvsim.waiting import Deadline, TimedOut, wait_until


class NodeStarter(Struct, frozen=True):
    """Starts the nodes of one cluster. `die_with_parent`: nodes end with kvsim, however it ends."""

    state: LauncherState
    die_with_parent: bool = True

    def start_all(self, on_spawn: Callable[[], None] = lambda: None) -> None:
        """Start every node and wait until all are ready, then until the cluster is.

        Raises NodeFailed, PortLost, SpawnError.
        """
        for batch in batches(list(self.state.nodes.values())):
            started = [self._spawn(node) for node in batch]
            on_spawn()
            self._wait_ready(started)
            # Once more, because a daemon has another pid by now.
            on_spawn()
        for node in self.state.nodes.values():
            self._after_start(node)
        self._wait_cluster_ready(self.state.nodes.values())

    def start(self, name: str, within_s: float | None = None) -> None:
        """Start a node that is down and wait until it is ready.

        If all other nodes are up, wait also for what the program requires of a ready cluster.
        Raises NodeFailed.
        """
        self.start_together([name], within_s)

    def start_together(self, names: Sequence[str], within_s: float | None = None) -> None:
        """As `start`, of several nodes at once: one alone may never be ready where they elect."""
        nodes = [self.state.nodes[name] for name in names]
        for node in nodes:
            if node.up:
                raise WrongState(
                    node.name,
                    f"node {node.name} is running already (pid {node.started_process.pid}); "
                    "stop it before starting it",
                )
        self._wait_ready([self._spawn(node) for node in nodes], within_s)
        for node in nodes:
            self._after_start(node)
        if all(other.up for other in self.state.nodes.values()):
            self._wait_cluster_ready(nodes, restarted=True)

    # --- spawning ---------------------------------------------------------------------------------

    def _spawn(self, node: Node) -> Readiness:
        names = self.state.names(node.name)
        self._refuse_used_port(node)
        with node.preload.preparing() if node.preload else contextlib.nullcontext():
            prepare(node, names)
        node.next_incarnation()
        plan = start_plan(node, names, die_with_parent=self.die_with_parent)
        node.stop_steps = plan_stop(node, names)
        self.state.presence.may_run(node.name)
        node.process, node.known = spawn(plan), []
        node.end_requested = node.end_noted = node.flooded = False
        # Before its log is watched: what the watcher notes is of a start that is noted.
        self.note_spawn(node, list(plan.argv))
        self.state.watch_logs(node)
        return Readiness.of(node, names, node.program.ready, self.state.timeouts)

    def note_spawn(self, node: Node, argv: list[str], *, attached: bool = False) -> None:
        process = node.started_process
        self.state.note(
            "spawn",
            node=node.name,
            incarnation=node.incarnation,
            pid=process.pid,
            start_ticks=process.identity.start_ticks,
            argv=argv,
            address=f"{node.address.host}:{node.address.port}",
            attached=attached,
            ready_within_s=node.program.ready.within_s,
        )

    def _refuse_used_port(self, node: Node) -> None:
        """Raises NodeFailed, naming the process, when a process listens on the node's port.

        PortLost when the process is none of the cluster.
        """
        host, port = node.address.host_port
        with node.in_network_namespace():
            if not any(listener.reaches(host) for listener in listeners(port)):
                return
            # Rarely needed: ports are reserved.
            from kvsim.launcher.port_conflict import holder_of

            conflict = holder_of(self.state, node, port, host)
        if conflict is not None:
            before = f"node {node.name} cannot start: "
            raise start_errors.port_not_free(self.state, node, conflict, before)

    # --- waiting ----------------------------------------------------------------------------------

    def _wait_ready(
        self,
        started: Sequence[Readiness],
        within_s: float | None = None,
        may_be_missing: int = 0,
    ) -> None:
        """Wait until all nodes are ready, or all but so many. Raises NodeFailed."""
        longest_s = max(readiness.ready.within_s for readiness in started)
        deadline = Deadline.after(within_s or longest_s)
        waiting = list(started)

        def all_ready() -> bool:
            for readiness in list(waiting):
                if self._is_final(readiness.node) and readiness.reached():
                    waiting.remove(readiness)
                    self._note_ready(readiness, deadline)
            return len(waiting) <= may_be_missing

        try:
            wait_until(
                all_ready,
                deadline,
                "all nodes ready",
                check_alive=lambda: self._raise_dead(waiting),
            )
        except TimedOut:
            self._raise_dead(waiting, in_time=False)
            raise start_errors.not_ready(self.state, waiting[0], deadline.timeout_s) from None
        finally:
            for readiness in started:
                readiness.close()

    def _note_ready(self, readiness: Readiness, deadline: Deadline) -> None:
        node = readiness.node
        kind = "ready" if readiness.ready is node.program.ready else "cluster_ready"
        self.state.note(
            kind, node=node.name, incarnation=node.incarnation, probes=readiness.evidence
        )
        self.state.note_timeout_use(kind.replace("_", " "), node, deadline)
        self.state.watch_logs(node)

    def _raise_dead(self, waiting: Iterable[Readiness], *, in_time: bool = True) -> None:
        """Raises NodeFailed for a node that has ended and will not become a daemon any more."""
        for readiness in waiting:
            node = readiness.node
            if node.up or self._is_or_becomes_daemon(node, in_time):
                continue
            self.state.reap()
            raise start_errors.died(self.state, node)

    def _is_final(self, node: Node) -> bool:
        return node.up and daemonized.is_final(self.state, node)

    def _is_or_becomes_daemon(self, node: Node, in_time: bool) -> bool:
        return daemonized.may_become_daemon(node, self.state.names(node.name)) and (
            daemonized.adopt(self.state, node) or in_time
        )

    def _after_start(self, node: Node) -> None:
        """Run the `after_start` commands, once for each data directory."""
        if node.program.after_start and not node.is_done("after_start"):
            for command in node.program.after_start:
                run_for_role(node, command, self.state.names(node.name), "after_start")
            node.mark_done("after_start")

    def _wait_cluster_ready(self, nodes: Iterable[Node], *, restarted: bool = False) -> None:
        """Wait for what only a whole cluster shows: a leader exists, a replica is connected.

        `restarted`: the others were ready already. What not every node must show is asked of all.
        """
        everywhere = list(self.state.nodes.values())
        for at, may_be_missing in (
            ("each", 0),
            ("majority", (len(everywhere) - 1) // 2),
            ("one", len(everywhere) - 1),
        ):
            asked = everywhere if restarted and at != "each" else nodes
            waiting = [
                self._cluster_readiness(node)
                for node in asked
                if (ready := node.program.cluster_ready).at == at and (ready.all_of or ready.any_of)
            ]
            if waiting:
                self._wait_ready(waiting, may_be_missing=min(may_be_missing, len(waiting) - 1))

    def _cluster_readiness(self, node: Node) -> Readiness:
        names, ready = self.state.names(node.name), node.program.cluster_ready
        return Readiness.of(node, names, ready, self.state.timeouts)


def batches(nodes: list[Node]) -> list[list[Node]]:
    """The nodes that start together, in order: by the program's `order`.

    A node that needs the leader for its `init` starts after the leader.
    """
    order = nodes[0].program.order
    leaders = [node for node in nodes if node.spec.role is Role.LEADER]
    others = [node for node in nodes if node not in leaders]
    dependent = [node for node in others if _needs_leader(node)]
    if order == "leader_first":
        found = [leaders, others]
    elif order == "followers_first":
        found = [[node for node in others if node not in dependent], leaders, dependent]
    else:
        found = [[node for node in nodes if node not in dependent], dependent]
    return [batch for batch in found if batch]


def _needs_leader(node: Node) -> bool:
    """Whether its init steps need the leader. Only before its first start; later they are done."""
    return not node.is_done("init") and any(
        _command_needs_leader(command, node) for command in node.program.init
    )


def _command_needs_leader(command: Command, node: Node) -> bool:
    return command.needs == "leader" and node.spec.role in command.roles
