"""Stop and kill nodes: by their program's own steps, by one signal, or all at once; and note what was left of them."""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from kvsim.config.program import Command, StopStep
from kvsim.errors import NodeFailed
from kvsim.launcher import squatters
from kvsim.launcher.cast import Cast
from kvsim.launcher.node import Node
from kvsim.launcher.preparing import run_command
from kvsim.limits import Own, spent
from kvsim.process import ladder
from kvsim.process.child import Child, signal_name
from kvsim.process.sockets import listeners
from kvsim.process.tree import members
from kvsim.waiting import Deadline, TimedOut, wait_until

KILL_WAIT_S = Own(5.0)


@dataclass(frozen=True)
class Stopping:
    """Ends nodes of one cast."""

    cast: Cast

    def stop(self, name: str) -> None:
        """Stop one node by its program's ladder. Raises NodeFailed when it was not running."""
        self._end([self._running(name, "stop")])

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send one signal to a node's tree and wait until it is dead. Raises NodeFailed when it is not running or lives on."""
        node = self._running(name, "kill")
        node.end_wanted = True
        number = number_of(signal)
        self.cast.note_signal(node, signal_name(number), "the scenario kills it")
        self._wait_for_death(node, number)

    def was_killed(self, name: str, signal: str, why: str) -> None:
        """Note a signal that somebody else's hand has sent, and wait until the node is dead. Raises NodeFailed when it lives on."""
        node, number = self.cast.nodes[name], number_of(signal)
        node.end_wanted = True
        self.cast.note_signal(node, signal_name(number), f"the scenario killed it: {why}")
        self._wait_for_death(node, number)

    def _wait_for_death(self, node: Node, number: int) -> None:
        """Send the signal to whatever of the node is still there, and wait."""
        for one in members(node.process.identity, node.mark):
            one.signal(number)
        name, signal = node.name, signal_name(number)
        deadline = Deadline.after(self.cast.limits.of(KILL_WAIT_S))
        try:
            wait_until(lambda: not node.up, deadline, f"{name} to die of {signal}")
            self.cast.note_limit("kill", node, deadline)
        except TimedOut as error:
            raise NodeFailed(name, f"node {name} lives on after {signal}: {error}") from None
        finally:
            self.cast.reap()

    def all(self) -> None:
        """Stop whatever runs, all under one deadline; note what was left."""
        self.cast.reap()
        self._end([node for node in self.cast.nodes.values() if node.process is not None])
        self.cast.guard.close()

    def kill_all(self) -> None:
        """KILL everything at once, without a grace: for a second Ctrl-C."""
        started = [node for node in self.cast.nodes.values() if node.process is not None]
        ladder.kill_all([ladder.Target(_root(node), node.mark, known=node.known) for node in started])
        self.cast.guard.close()

    def _running(self, name: str, what: str) -> Node:
        node = self.cast.nodes[name]
        if not node.up:
            raise NodeFailed(name, f"cannot {what} node {name}: it is not running")
        return node

    def _end(self, nodes: Sequence[Node]) -> None:
        targets = [self._target(node) for node in nodes]
        for node in nodes:
            node.end_wanted = node.end_wanted or node.up
        for node, stopped in zip(nodes, ladder.stop_all(targets), strict=True):
            self._note_stopped(node, stopped)
        self.cast.reap()

    def _target(self, node: Node) -> ladder.Target:
        steps = [self._rung(node, step) for step in node.program.stop.steps]
        return ladder.Target(_root(node), node.mark, steps, node.known)

    def _rung(self, node: Node, step: StopStep) -> ladder.Step:
        number = number_of(step.signal) if step.signal else None
        act = partial(self._run_stop_command, node, step) if step.command else None
        return ladder.Step(number, step.wait_s, act)

    def _run_stop_command(self, node: Node, step: StopStep) -> None:
        """Whatever it did, the ladder goes on and judges the tree; what went wrong is noted."""
        command = Command(step.command, within_s=step.wait_s)
        try:
            run_command(node, command, self.cast.names(node.name), "stop")
        except NodeFailed as error:
            self.cast.note(
                "stop_command_failed", node=node.name, incarnation=node.incarnation, message=str(error)
            )

    def _note_stopped(self, node: Node, stopped: ladder.Stopped) -> None:
        hidden = squatters.end(node)
        with node.at_home():
            port_open = any(one.reaches(node.place.host) for one in listeners(node.place.port))
        for name, after_s in stopped.signals:
            self.cast.note_signal(node, name, "stopping", after_s=after_s)
        self.cast.note(
            "stopped",
            node=node.name,
            incarnation=node.incarnation,
            was_running=stopped.was_running,
            ignored=list(stopped.ignored),
            killed=stopped.killed_by_us,
            leftovers=[*(one.text for one in stopped.leftovers), *hidden],
            survivors=[one.text for one in stopped.survivors],
            port_open=port_open,
            took_s=stopped.took_s,
        )
        if stopped.was_running and node.program.stop.steps:
            allowed_s = sum(step.wait_s for step in node.program.stop.steps)
            self.cast.note("limit", **spent("stop", node.name, stopped.took_s, allowed_s))


def _root(node: Node):
    """What the ladder climbs at: a child's exit status is taken, of an orphan only its end is seen."""
    return node.process if isinstance(node.process, Child) else node.process.identity


def number_of(signal: str) -> int:
    """A signal's number, from its number or its name with or without SIG."""
    name = signal.upper()
    if name.isdigit():
        return int(name)
    return signals.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
