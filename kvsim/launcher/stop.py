"""Stops and kills nodes: by their program's stop sequence, by one signal, or all at once.

Notes what was left of them. That includes processes that a node hid, in their own session and
without the tag in their environment: `hidden` finds them.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import partial

from msgspec import Struct

from kvsim.client.connect import connect
from kvsim.client.status import ask_status
from kvsim.config.program import Role
from kvsim.errors import NodeFailed, WrongState
from kvsim.launcher.command_plan import CommandPlan, PlannedStopStep
from kvsim.launcher.hidden import kill_hidden, kill_orphans
from kvsim.launcher.node import Node
from kvsim.launcher.prepare import run_command
from kvsim.launcher.state import LauncherState
from kvsim.process import termination
from kvsim.process.child import Child, signal_name, signal_number
from kvsim.process.identity import Identity
from kvsim.process.sockets import listeners
from kvsim.process.termination import (
    StopAction,
    StopResult,
    StopTarget,
)
from kvsim.timeouts import DefaultTimeout, timeout_usage
from kvsim.waiting import Deadline, TimedOut, wait_until

KILL_WAIT_S = DefaultTimeout(5.0)
STATUS_S = DefaultTimeout(0.5)


class NodeStopper(Struct, frozen=True):
    """Ends the nodes of one cluster."""

    state: LauncherState

    def stop(self, name: str) -> None:
        """Stop a node by its program's stop sequence. Raises NodeFailed when it is not up."""
        self._end([self._running(name, "stop")])

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send a signal to a node's tree and wait until it is dead.

        Raises NodeFailed when it is not running, or survives.
        """
        node = self._running(name, "kill")
        node.end_requested = True
        number = signal_number(signal)
        self.state.note_signal(node, signal_name(number), "the scenario kills it")
        self._wait_for_death(node, number)

    def record_kill(self, name: str, signal: str, why: str) -> None:
        """Note a signal that the caller has sent, and wait until the node is dead.

        Raises NodeFailed when it survives.
        """
        node, number = self.state.nodes[name], signal_number(signal)
        node.end_requested = True
        self.state.note_signal(node, signal_name(number), f"the scenario killed it: {why}")
        self._wait_for_death(node, number)

    def stop_all(self) -> None:
        """Stop all nodes that run, in their program's order; note what was left of them."""
        self.state.reap()
        batches = _batches(self._started(), self._leaders())
        for batch in batches:
            self._end(batch, all_nodes=batch is batches[-1])
        self.state.close()

    def kill_all(self) -> None:
        """KILL everything at once, for a second Ctrl-C."""
        termination.kill_all(
            [StopTarget(_root(node), node.tag, known=node.known) for node in self._started()]
        )
        self.state.close()

    def _leaders(self) -> set[str]:
        """The nodes that lead now, or those of the cluster file, where the order depends on it."""
        nodes = self._started()
        as_configured = {node.name for node in nodes if node.spec.role is Role.LEADER}
        if all(node.program.stop.order == "together" for node in nodes):
            return as_configured
        reported = {node.name: self._reported_role(node) for node in nodes if node.up}
        leading = {name for name, role in reported.items() if role is Role.LEADER}
        return leading or as_configured

    def _reported_role(self, node: Node) -> Role | None:
        names, (host, port) = self.state.client_names(node.name)
        client = connect(node.program, host, port, names=names)
        try:
            timeout_s = self.state.timeouts.of(STATUS_S)
            status = ask_status(client, node.program, timeout_s, names)
        finally:
            client.close()
        return status.role if status else None

    def _started(self) -> list[Node]:
        return [node for node in self.state.nodes.values() if node.process is not None]

    def _running(self, name: str, what: str) -> Node:
        node = self.state.nodes[name]
        if not node.up:
            # A node that ended by itself has failed; one that a step has ended is down rightly.
            error = WrongState if node.end_requested else NodeFailed
            raise error(name, f"cannot {what} node {name}: it is not running")
        return node

    def _wait_for_death(self, node: Node, number: int) -> None:
        """Send the signal to all processes of the node that are left, and wait."""
        for process in node.tree():
            process.signal(number)
        name, signal = node.name, signal_name(number)
        deadline = Deadline.after(self.state.timeouts.of(KILL_WAIT_S))
        try:
            wait_until(lambda: not node.up, deadline, f"{name} to die of {signal}")
            self.state.note_timeout_use("kill", node, deadline)
        except TimedOut as error:
            raise NodeFailed(
                name, f"node {name} is still running after {signal}: {error}"
            ) from None
        finally:
            self.state.reap()

    def _end(self, nodes: Sequence[Node], *, all_nodes: bool = False) -> None:
        self.state.usage_watcher.look(nodes)
        targets = [self._target(node) for node in nodes]
        for node in nodes:
            node.end_requested = node.end_requested or node.up
        results = termination.stop_all(targets)
        hidden = kill_hidden(nodes)
        if nodes and all_nodes:
            hidden[0] += kill_orphans(nodes)
        for node, result, found in zip(nodes, results, hidden, strict=True):
            self._note_stopped(node, result, found)
        self.state.reap()

    def _target(self, node: Node) -> StopTarget:
        actions = [self._action(node, step) for step in node.stop_steps]
        return StopTarget(_root(node), node.tag, actions, node.known)

    def _action(self, node: Node, step: PlannedStopStep) -> StopAction:
        number = signal_number(step.signal) if step.signal else None
        run = (
            partial(self._run_stop_command, node, step.command, step.wait_s)
            if step.command
            else None
        )
        return StopAction(number, step.wait_s, run)

    def _run_stop_command(self, node: Node, command: CommandPlan, within_s: float) -> None:
        """Run a stop command. Raises SpawnError when it cannot be started.

        When it fails, that is noted, and the stop sequence continues: what counts is whether the
        node ends.
        """
        try:
            run_command(node, command, within_s, "stop")
        except NodeFailed as error:
            self._note_stop_command_failed(node, str(error), started=True)

    def _note_stop_command_failed(self, node: Node, message: str, *, started: bool) -> None:
        self.state.note(
            "stop_command_failed",
            node=node.name,
            incarnation=node.incarnation,
            started=started,
            message=message,
        )

    def _note_stopped(self, node: Node, result: StopResult, hidden: Sequence[str]) -> None:
        self.state.usage_watcher.note_left_files(node)
        host, port = node.address.host_port
        with node.in_network_namespace():
            port_open = any(listener.reaches(host) for listener in listeners(port))
        for name, after_s in result.signals:
            self.state.note_signal(node, name, "stopping", after_s=after_s)
        for message in result.failures:
            self._note_stop_command_failed(node, f"node {node.name}: {message}", started=False)
        self.state.note(
            "stopped",
            node=node.name,
            incarnation=node.incarnation,
            was_running=result.was_running,
            ignored=list(result.ignored),
            killed=result.killed_by_us,
            leftovers=[*(leftover.text for leftover in result.leftovers), *hidden],
            survivors=[survivor.text for survivor in result.survivors],
            port_open=port_open,
            took_s=result.took_s,
        )
        if result.was_running and node.stop_steps:
            allowed_s = sum(step.wait_s for step in node.stop_steps)
            self.state.note("limit", **timeout_usage("stop", node.name, result.needed_s, allowed_s))


def _batches(nodes: Sequence[Node], leaders: Set[str]) -> list[list[Node]]:
    """The nodes that are stopped together, in order; by the first node's program."""
    order = nodes[0].program.stop.order if nodes else "together"
    leading = [node for node in nodes if node.name in leaders]
    others = [node for node in nodes if node.name not in leaders]
    if order == "together":
        return [list(nodes)]
    found = [leading, others] if order == "leader_first" else [others, leading]
    return [batch for batch in found if batch]


def _root(node: Node) -> Child | Identity:
    """The root of the tree to end: a child, whose exit status is taken, or an orphan's identity."""
    process = node.started_process
    return process if isinstance(process, Child) else process.identity
