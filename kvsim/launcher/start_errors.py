"""Why a node did not start, for its author: it died, it is not ready, or it cannot be started.

Makes error messages and notes them. Ends no process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kvsim.errors import NodeFailed
from kvsim.launcher import daemonized
from kvsim.launcher.node import Node
from kvsim.launcher.prepare import start_plan
from kvsim.launcher.readiness import Readiness, explain
from kvsim.launcher.state import DRAIN_WAIT_S, LauncherState
from kvsim.process.child import ExitStatus
from kvsim.process.spawn import explain_early_end
from kvsim.waiting import Deadline

if TYPE_CHECKING:
    from kvsim.launcher.port_conflict import PortConflict


# For a program that serves until its input ends, as many that read commands do.
INPUT_AT_END = (
    ": if it serves until its standard input ends, that is at once, because nodes get an empty one "
    "(`stdin: open` in node.yaml keeps it open)"
)


class PortLost(NodeFailed):
    """Another process took a node's port between the reservation and its start.

    The cluster can be started again on other ports.
    """


def died(state: LauncherState, node: Node) -> NodeFailed:
    """The error for a node that ended before it was ready."""
    exit_status = node.started_process.poll() or ExitStatus()
    node.drain(Deadline.after(DRAIN_WAIT_S))
    early = explain_early_end(start_plan(node, state.names(node.name)), exit_status)
    if early is not None:
        return _note(state, node, "not startable", {}, f"node {node.name}: {early}")
    text = (
        f"node {node.name} {exit_status.describe()} before it was ready"
        f"{_why_it_ended(node, exit_status)}; {node.last_lines()}"
    )
    conflict = _port_conflict(state, node)
    if conflict is None:
        return _note(state, node, "died", {}, text)
    return port_not_free(state, node, conflict, f"{text}\n")


def port_not_free(
    state: LauncherState, node: Node, conflict: PortConflict, before: str = ""
) -> NodeFailed:
    """The error for a node whose port is in use: PortLost when a stranger holds it.

    A port that a node of the cluster holds will be in use again after the next start.
    """
    text = f"{before}{conflict.message}"
    error = _note(state, node, "port" if conflict.foreign else "died", {}, text)
    return PortLost(node.name, text) if conflict.foreign else error


def _why_it_ended(node: Node, exit_status: ExitStatus) -> str:
    """A hint for a program that ended well: it daemonizes, or reads its input to the end."""
    if exit_status.code != 0:
        return ""
    # One reading of the process table may miss a process that is forked meanwhile.
    left = node.tree(node.known) or node.tree(node.known)
    if not left:
        return "" if node.program.stdin_open else INPUT_AT_END
    names = ", ".join(process.describe() for process in left)
    pid_file = node.program.stop.pid_file
    if pid_file:
        return f", leaving {names} running, and {pid_file} names none of them"
    return (
        f", leaving {names} running: it goes into the background; keep it in the foreground, "
        "or name its pid file in node.yaml (`stop: {pid_file: …}`)"
    )


def not_ready(state: LauncherState, readiness: Readiness, timeout_s: float) -> NodeFailed:
    """The error for a node that runs and is not ready in time."""
    node = readiness.node
    missing = readiness.missing()
    if not daemonized.is_final(state, node):
        missing["pid file"] = (
            f"its pid file {node.program.stop.pid_file} names none of its processes"
        )
    text = (
        f"node {node.name} (pid {node.started_process.pid}) is alive but was not ready within "
        f"{timeout_s:g}s: {explain(missing, readiness.unmatched)}; {node.last_lines()}"
    )
    conflict = _port_conflict(state, node)
    if conflict is not None:
        return port_not_free(state, node, conflict, f"{text}\n")
    unmatched = {name: readiness.unmatched.get(name, "") for name in missing}
    return _note(state, node, "not ready", unmatched, text, readiness.output_pattern())


def _port_conflict(state: LauncherState, node: Node) -> PortConflict | None:
    # Needed only when a start fails.
    from kvsim.launcher.port_conflict import port_conflict

    return port_conflict(state, node)


def _note(
    state: LauncherState,
    node: Node,
    why: str,
    missing: Mapping[str, str],
    message: str,
    log: str = "",
) -> NodeFailed:
    """`missing`: probe → the description that did not match; empty: something else was missing.
    `log`: the pattern of the line that the node's output had to hold.
    """
    state.note(
        "start_failed",
        node=node.name,
        incarnation=node.incarnation,
        why=why,
        missing=sorted(missing),
        unmatched={name: pattern for name, pattern in missing.items() if pattern},
        **({"log": log} if log else {}),
        message=message,
    )
    return NodeFailed(node.name, message)
