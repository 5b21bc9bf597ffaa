"""Why a node did not start, in words for its author: it died, it lives and is not ready, its program cannot be started at all.

Says and notes; ends nothing.
"""

from __future__ import annotations

from kvsim.errors import NodeFailed
from kvsim.launcher import adopting
from kvsim.launcher.cast import LAST_WORDS_S, Cast
from kvsim.launcher.node import Node
from kvsim.launcher.preparing import start_plan
from kvsim.launcher.readiness import Gates, explain, port_lost
from kvsim.process.child import Ended
from kvsim.process.spawn import explain_early_end
from kvsim.process.tree import members
from kvsim.waiting import Deadline


class PortLost(NodeFailed):
    """A node's port was taken between the reservation and its start: start again elsewhere."""


def died(cast: Cast, node: Node, ended: Ended) -> NodeFailed:
    """The error for a node that ended before it was ready."""
    node.drain(Deadline.after(LAST_WORDS_S))
    early = explain_early_end(start_plan(node, cast.names(node.name)), ended)
    if early is not None:
        return _noted(cast, node, "not startable", [], f"node {node.name}: {early}")
    text = (
        f"node {node.name} {ended.describe()} before it was ready{_went_on(node, ended)}; {node.last_lines()}"
    )
    stranger = port_lost(node)
    if stranger is None:
        return _noted(cast, node, "died", [], text)
    _noted(cast, node, "port", [], text)
    return PortLost(node.name, f"{text}\nits port {node.place.port} is held by {stranger}")


def _went_on(node: Node, ended: Ended) -> str:
    """A program that goes into the background looks dead to whoever started it."""
    left = members(node.process.identity, node.mark, node.known)
    if ended.status != 0 or not left:
        return ""
    who = ", ".join(one.describe() for one in left)
    named = node.program.stop.pid_file
    if named:
        return f", leaving {who} running, and {named} names none of them"
    return (
        f", leaving {who} running: it goes into the background; keep it in the foreground, or name its pid file in node.yaml "
        "(`stop: {pid_file: …}`)"
    )


def not_ready(cast: Cast, gates: Gates, budget_s: float) -> NodeFailed:
    """The error for a node that lives and is not ready in time."""
    node = gates.node
    missing = gates.look_at_all()
    if not adopting.settled(cast, node):
        missing["pid file"] = f"its pid file {node.program.stop.pid_file} names none of its processes"
    text = (
        f"node {node.name} (pid {node.process.pid}) is alive but was not ready within {budget_s:g}s: "
        f"{explain(missing)}; {node.last_lines()}"
    )
    return _noted(cast, node, "not ready", sorted(missing), text)


def _noted(cast: Cast, node: Node, why: str, missing: list[str], message: str) -> NodeFailed:
    cast.note(
        "start_failed",
        node=node.name,
        incarnation=node.incarnation,
        why=why,
        missing=missing,
        message=message,
    )
    return NodeFailed(node.name, message)
