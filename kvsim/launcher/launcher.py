"""Start and stop the nodes of one cluster. Knows processes, addresses and logs; knows nothing of keys, roles or faults.

Spawns from the main thread only. Everything that happens to a process is noted through one callable, `note`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from kvsim.client.connect import connect
from kvsim.client.exchange import Client
from kvsim.config.cluster import Cluster
from kvsim.config.names import Place, names_for
from kvsim.config.program import Role, StopStep
from kvsim.errors import NodeFailed
from kvsim.history.addresses import Address, node_at
from kvsim.launcher.node import Node, Note
from kvsim.launcher.preparing import plan, prepare, run_command
from kvsim.launcher.readiness import Gates, explain, port_lost
from kvsim.logs.guard import Growth, LogGuard
from kvsim.logs.tail import LogFile
from kvsim.process import ladder
from kvsim.process.child import Child, Ended, signal_name
from kvsim.process.sockets import holder, listeners, owned_by
from kvsim.process.spawn import explain_early_end, spawn
from kvsim.process.tree import become_subreaper, members
from kvsim.waiting import Deadline, TimedOut, wait_until

LOG_LIMIT_BYTES = 64 << 20
KILL_WAIT_S = 5.0


class PortLost(NodeFailed):
    """A node's port was taken between the reservation and its start: start again elsewhere."""


class Launcher:
    """The nodes of one cluster, by name. Close it with `stop_all`, whatever happened."""

    def __init__(
        self, cluster: Cluster, nodes: Sequence[Node], note: Note, *, die_with_parent: bool = True
    ) -> None:
        self.cluster = cluster
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}
        self.places: dict[str, Place] = {node.name: node.place for node in nodes}
        self.note = note
        self.die_with_parent = die_with_parent
        self._guard = LogGuard(LOG_LIMIT_BYTES, self._flooded, on_growth=self._note_growth).start()
        become_subreaper()

    # --- starting ----------------------------------------------------------------------------------------------------

    def start_all(self, on_spawn: Callable[[], None] = lambda: None) -> None:
        """Start every node in the program's order and wait until all are ready. Raises NodeFailed, PortLost, SpawnError."""
        for batch in self._batches():
            gates = [self._spawn(node) for node in batch]
            on_spawn()
            self._wait_ready(gates)
        self._wait_cluster_ready()

    def start(self, name: str, within_s: float | None = None) -> None:
        """Start one node that is down and wait until it is ready. Raises NodeFailed."""
        node = self.nodes[name]
        if node.up:
            raise NodeFailed(
                name, f"node {name} is running already (pid {node.process.pid}); stop it before starting it"
            )
        self._wait_ready([self._spawn(node)], within_s)

    def _batches(self) -> list[list[Node]]:
        nodes = list(self.nodes.values())
        order = nodes[0].program.order
        if order == "together":
            return [nodes]
        first = Role.LEADER if order == "leader_first" else Role.FOLLOWER
        one = [node for node in nodes if node.spec.role is first]
        return [batch for batch in (one, [node for node in nodes if node not in one]) if batch]

    def _spawn(self, node: Node) -> Gates:
        names = self.names(node.name)
        node.folder.mkdir(parents=True, exist_ok=True)
        prepare(node, names)
        self._refuse_strangers(node)
        node.next_incarnation()
        argv = (*node.program.start[node.spec.role], *node.spec.args)
        start = plan(node, argv, names, node.log_path, die_with_parent=self.die_with_parent)
        child = spawn(start)
        node.process, node.log = child, LogFile(node.log_path)
        node.end_wanted = node.end_noted = node.flooded = False
        self._guard.add(node.name, node.log_path)
        self._note_spawn(node, list(start.argv))
        return Gates(node, names, node.program.ready)

    def _note_spawn(self, node: Node, argv: list[str], *, attached: bool = False) -> None:
        self.note(
            "spawn",
            node=node.name,
            incarnation=node.incarnation,
            pid=node.process.pid,
            start_ticks=node.process.identity.start_ticks,
            argv=argv,
            address=f"{node.place.host}:{node.place.port}",
            attached=attached,
        )

    def note_attached(self, node: Node) -> None:
        """Note a node that an earlier command started and that is found running."""
        if node.process is not None:
            self._note_spawn(node, [], attached=True)

    def _refuse_strangers(self, node: Node) -> None:
        """Yesterday's server on the port is named, not believed."""
        host, port = node.address
        if any(one.reaches(host) for one in listeners(port)):
            found = holder(host, port)
            who = found.describe() if found else "a process that cannot be seen"
            raise PortLost(node.name, f"node {node.name}: its port {port} is in use by {who}")

    def _wait_ready(self, all_gates: Sequence[Gates], within_s: float | None = None) -> None:
        budget_s = within_s or max(gates.ready.within_s for gates in all_gates)
        waiting = list(all_gates)

        def opened() -> bool:
            for gates in [gates for gates in waiting if gates.open()]:
                waiting.remove(gates)
                self._note_ready(gates)
            return not waiting

        try:
            wait_until(
                opened, Deadline.after(budget_s), "all nodes ready", dead=lambda: self._raise_dead(waiting)
            )
        except TimedOut:
            self._raise_dead(waiting)
            raise self._not_ready(waiting[0], budget_s) from None
        finally:
            for gates in all_gates:
                gates.close()
        for gates in all_gates:
            for command in gates.node.program.after_start:
                run_command(gates.node, command, gates.names, "after_start")

    def _note_ready(self, gates: Gates) -> None:
        node = gates.node
        self.note("ready", node=node.name, incarnation=node.incarnation, gates=gates.passed)

    def _raise_dead(self, waiting: Iterable[Gates]) -> None:
        for gates in waiting:
            node = gates.node
            ended = node.process.poll()
            if ended is not None:
                raise self._died(node, ended)

    def _died(self, node: Node, ended: Ended) -> NodeFailed:
        self.reap()
        early = self._early_end(node, ended)
        if early is not None:
            return early
        text = f"node {node.name} {ended.describe()} before it was ready; {node.last_lines()}"
        stranger = port_lost(node)
        self._note_failed(node, "port" if stranger else "died", [], text)
        if stranger:
            return PortLost(node.name, f"{text}\nits port {node.place.port} is held by {stranger}")
        return NodeFailed(node.name, text)

    def _early_end(self, node: Node, ended: Ended) -> NodeFailed | None:
        start = plan(node, node.program.start[node.spec.role], self.names(node.name), node.log_path)
        error = explain_early_end(start, ended)
        if error is None:
            return None
        text = f"node {node.name}: {error}"
        self._note_failed(node, "not startable", [], text)
        return NodeFailed(node.name, text)

    def _not_ready(self, gates: Gates, budget_s: float) -> NodeFailed:
        node = gates.node
        missing = gates.look_at_all()
        text = (
            f"node {node.name} (pid {node.process.pid}) is alive but was not ready within {budget_s:g}s: "
            f"{explain(node, missing)}; {node.last_lines()}"
        )
        self._note_failed(node, "not ready", sorted(missing), text)
        return NodeFailed(node.name, text)

    def _note_failed(self, node: Node, why: str, missing: list[str], message: str) -> None:
        fields = {"node": node.name, "incarnation": node.incarnation, "why": why, "missing": missing}
        self.note("start_failed", **fields, message=message)

    def _wait_cluster_ready(self) -> None:
        """What only a whole cluster can show (a replica's link is up), where a program asks for it."""
        waiting = [
            Gates(node, self.names(node.name), node.program.cluster_ready)
            for node in self.nodes.values()
            if node.program.cluster_ready.all_of or node.program.cluster_ready.any_of
        ]
        if waiting:
            self._wait_ready(waiting)

    # --- stopping ----------------------------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Stop one node by its program's ladder. Raises NodeFailed when it was not running."""
        node = self._running(name, "stop")
        self._end([node], wanted=True)

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send one signal to a node's group and wait until it is dead. Raises NodeFailed when it is not running or lives on."""
        node = self._running(name, "kill")
        node.end_wanted = True
        number = _number(signal)
        self._note_signal(node, signal_name(number), "the scenario kills it")
        for one in members(node.process.identity, node.mark):
            one.signal(number)
        try:
            wait_until(lambda: not node.up, Deadline.after(KILL_WAIT_S), f"{name} to die of {signal}")
        except TimedOut as error:
            raise NodeFailed(name, f"node {name} lives on after {signal_name(number)}: {error}") from None
        finally:
            self.reap()

    def stop_all(self) -> None:
        """Stop whatever runs, followers before the leader's last words, all under one deadline; note what was left."""
        running = [node for node in self.nodes.values() if node.process is not None]
        self.reap()
        self._end(running, wanted=True)
        self._guard.close()

    def kill_all(self) -> None:
        """KILL everything at once, without a grace: for a second Ctrl-C."""
        targets = [
            ladder.Target(n.process if isinstance(n.process, Child) else n.process.identity, n.mark)
            for n in self.nodes.values()
            if n.process is not None
        ]
        ladder.kill_all(targets)
        self._guard.close()

    def leave(self) -> None:
        """Let the nodes run on after kvsim has ended."""
        self._guard.close()

    def _running(self, name: str, what: str) -> Node:
        node = self.nodes[name]
        if not node.up:
            raise NodeFailed(name, f"cannot {what} node {name}: it is not running")
        return node

    def _end(self, nodes: Sequence[Node], *, wanted: bool) -> None:
        targets = [self._target(node) for node in nodes]
        for node in nodes:
            node.end_wanted = node.end_wanted or (wanted and node.up)
        for node, stopped in zip(nodes, ladder.stop_all(targets), strict=True):
            self._note_stopped(node, stopped)
        self.reap()

    def _target(self, node: Node) -> ladder.Target:
        process = node.process
        root = process if isinstance(process, Child) else process.identity
        return ladder.Target(root, node.mark, [self._rung(node, step) for step in node.program.stop.steps])

    def _rung(self, node: Node, step: StopStep) -> ladder.Step:
        number = _number(step.signal) if step.signal else None
        act = partial(self._run_stop_command, node, step) if step.command else None
        return ladder.Step(number, step.wait_s, act)

    def _run_stop_command(self, node: Node, step: StopStep) -> None:
        from kvsim.config.program import Command

        with contextlib.suppress(NodeFailed):  # whatever it did, the ladder goes on and judges the tree
            run_command(node, Command(step.command, within_s=step.wait_s), self.names(node.name), "stop")

    def _note_stopped(self, node: Node, stopped: ladder.Stopped) -> None:
        for name, after_s in stopped.signals:
            self._note_signal(node, name, "stopping", after_s=after_s)
        self.note(
            "stopped",
            node=node.name,
            incarnation=node.incarnation,
            was_running=stopped.was_running,
            ignored=list(stopped.ignored),
            leftovers=[one.text for one in stopped.leftovers],
            survivors=[one.text for one in stopped.survivors],
            port_open=any(one.reaches(node.place.host) for one in listeners(node.place.port)),
            took_s=stopped.took_s,
        )

    def _note_signal(self, node: Node, signal: str, why: str, **more: Any) -> None:
        self.note("signal", node=node.name, incarnation=node.incarnation, signal=signal, why=why, **more)

    # --- looking -----------------------------------------------------------------------------------------------------

    def reap(self) -> list[Node]:
        """Note the end of every node that has ended since the last look; return those whose end nobody asked for."""
        died = []
        for node in self.nodes.values():
            ended = None if node.end_noted or node.process is None else node.process.poll()
            if ended is None:
                continue
            node.end_noted = True
            self._guard.remove(node.log_path)
            tail = [] if node.end_wanted else node.log.last(12)
            fields = {**ended.to_json(), "wanted": node.end_wanted, "flooded": node.flooded, "tail": tail}
            self.note("exit", node=node.name, incarnation=node.incarnation, **fields)
            if not node.end_wanted:
                died.append(node)
        return died

    def names(self, name: str) -> dict[str, Any]:
        """The template names of one node."""
        return names_for(self.cluster, self.places[name], list(self.places.values()))

    def connect(self, name: str) -> Client:
        """A fresh client of one node."""
        node = self.nodes[name]
        return connect(node.program, *node.address, names=self.names(name))

    def node_at(self, address: str | None) -> str | None:
        """The node that an address names, however it is written."""
        addresses = {
            name: Address(place.node.id, (place.port, *place.ports.values()))
            for name, place in self.places.items()
        }
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
        """True when the present incarnation's log has a line matching the pattern."""
        log = self.nodes[name].log
        return log is not None and log.search(pattern) is not None

    def look_at_logs(self) -> None:
        """Note how long the logs are now, so that their lines can be placed in time; the guard does so all the while."""
        self._guard.look()

    def _note_growth(self, growth: Growth) -> None:
        node = self.nodes[growth.name]
        if growth.path == node.log_path and growth.size:
            self.note("log", node=node.name, incarnation=node.incarnation, size=growth.size)

    def _flooded(self, growth: Growth) -> None:
        node = self.nodes[growth.name]
        node.flooded = True
        for one in members(node.process.identity, node.mark):
            one.signal(_number("KILL"))


def _number(signal: str) -> int:
    import signal as signals

    name = signal.upper()
    return (
        int(name)
        if name.isdigit()
        else signals.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    )
