"""Which process holds the port that a node could not bind: another node, a stranger, or no process?

A log that says "address already in use" is believed after a look at the kernel's tables only. Where
neither the log nor kvsim knows the port, the node is started once more, alone in an empty network:
what it listens on there is looked up in the real one. Ends no process of a cluster.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from kvsim.errors import KvsimError
from kvsim.launcher.node import Node
from kvsim.launcher.state import LauncherState
from kvsim.logs.log_file import LogFile
from kvsim.process.child import Child
from kvsim.process.sockets import (
    Listener,
    PortHolder,
    holders,
    listeners,
    listening,
    ports_in_use,
)
from kvsim.text import enumerate_some, plural

# The reason of an early end is near the end of a log.
LINES = 40
IN_USE = (
    r"(?i)address (?:is )?(?:already )?in use|EADDRINUSE|(?:errno|error)[ :=]*98\b|BindException"
    r"|\bport\b.*\b(?:already )?(?:in use|taken|bound)\b|(?:in use|taken).*\bport\b"
)
STRANGERS_MAX = 10
UNIDENTIFIED = "a process that kvsim cannot identify"
NOT_GIVEN = (
    "only the program knows this port (seen when it was started alone in an empty network); "
    "take every port from `{port}`, or name it in `ports:`"
)
PORT = r"(?<![\d.])\d{3,5}(?![\d.]*\d)"


class PortConflict(Struct, frozen=True):
    """Why a node could not bind a port. `foreign`: a process outside the cluster holds it."""

    message: str
    foreign: bool = False


def port_conflict(state: LauncherState, node: Node) -> PortConflict | None:
    """For a node that ended; None: its log speaks of no address in use."""
    speaking = _speaking((node.log, *node.extra_logs()))
    if not speaking:
        return None
    own = (node.address.port, *node.address.ports.values())
    named = [int(text) for line in speaking for text in re.findall(PORT, line)]
    with node.in_network_namespace():
        for port in dict.fromkeys([*own, *named]):
            conflict = holder_of(state, node, port)
            if conflict is not None:
                return conflict
        for port in _ports_in_command(node):
            conflict = holder_of(state, node, port)
            # Ports of the other nodes are in the command, too.
            if conflict is not None and conflict.foreign:
                return conflict
    return _by_isolated_start(state, node) if node.net is None else _own_mistake(own)


def _speaking(logs: Iterable[LogFile]) -> list[str]:
    """The last lines that say that an address is in use."""
    lines = [line for log in logs for line in log.last(LINES)]
    return [line for line in lines if re.search(IN_USE, line)]


def _own_mistake(own: tuple[int, ...]) -> PortConflict:
    return PortConflict(
        f"its log says that an address is in use, but no process listens on "
        f"{_ports(own, 'the port')} that it was given: it binds one twice, or another port"
    )


def _by_isolated_start(state: LauncherState, node: Node) -> PortConflict:
    """By the ports that only the program knows, as far as they can be found out."""
    from kvsim.launcher.isolated_start import start_isolated

    own = (node.address.port, *node.address.ports.values())
    found = None
    with contextlib.suppress(KvsimError, OSError):
        found = start_isolated(state, node, lambda port: port not in own and _is_held(port))
    if found is None:
        return _by_other_ports(state, node) or _by_strangers(state) or _own_mistake(own)
    for port in sorted(found.ports - set(own)):
        conflict = holder_of(state, node, port)
        if conflict is not None:
            return replace(conflict, message=f"{conflict.message}; {NOT_GIVEN}")
    if found.ended and _speaking([LogFile(found.log)]):
        return PortConflict(
            "its log says that an address is in use; alone in an empty network it says so too: "
            "it binds one of its ports twice"
        )
    return _by_other_ports(state, node) or _own_mistake(own)


def _is_held(port: int) -> bool:
    return bool(listeners(port))


def _by_strangers(state: LauncherState) -> PortConflict | None:
    """Any process outside the cluster may hold the port: then nobody knows whose mistake it is."""
    strangers = [
        f"port {port} of {holder.describe() if holder else UNIDENTIFIED}"
        for port, holder in sorted(ports_in_use().items())
        if holder is None or (_node_of(state, holder) is None and holder.pid != os.getpid())
    ]
    if not strangers:
        return None
    return PortConflict(
        "its log says that an address is in use and does not say which, and this system allows no "
        f"empty network in which to find out; in use is {enumerate_some(strangers, STRANGERS_MAX)}",
        foreign=True,
    )


def holder_of(
    state: LauncherState, node: Node, port: int, host: str | None = None
) -> PortConflict | None:
    """The process that listens on a port that the node needs; None: no process does."""
    if not any(host is None or listener.reaches(host) for listener in listeners(port)):
        return None
    found = holders(port, host)
    if not found:
        return PortConflict(f"its port {port} is in use by {UNIDENTIFIED}", foreign=True)
    other = _node_of(state, found[0])
    if other is None:
        name = found[0].describe()
        return PortConflict(f"its port {port} is in use by {name}", foreign=True)
    if other is node:
        return PortConflict(f"port {port} is in use by its own process pid {found[0].pid}")
    return PortConflict(_describe_node(other, port))


def _ports_in_command(node: Node) -> Iterator[int]:
    """Numbers in the node's command line that may be ports."""
    argv = node.process.argv if isinstance(node.process, Child) else ()
    return map(int, dict.fromkeys(re.findall(PORT, " ".join(argv))))


def _node_of(state: LauncherState, holder: PortHolder) -> Node | None:
    for node in state.nodes.values():
        if any(process.pid == holder.pid for process in node.tree(node.known)):
            return node
    return None


def _describe_node(holder: Node, port: int) -> str:
    given = port in (holder.address.port, *holder.address.ports.values())
    which = "its own port" if given else "which kvsim did not give it"
    return (
        f"port {port} is in use by node {holder.name} (pid {holder.started_process.pid}), {which}; "
        "every node needs its own ports: take them from `{port}`, or name them in `ports:`"
    )


def _by_other_ports(state: LauncherState, node: Node) -> PortConflict | None:
    """By the ports that other nodes on the same addresses hold and were not given.

    The log names no port. Nodes of one program that all bind a fixed one have it in common.
    """
    for other in state.nodes.values():
        if other is node or not other.up or other.net is not None or node.net is not None:
            continue
        ports = sorted({listener.port for listener in _not_given(other)})
        if ports:
            return PortConflict(
                f"its log says that an address is in use: node {other.name} "
                f"(pid {other.started_process.pid}) listens on {_ports(tuple(ports), 'port')}, "
                "which kvsim did not give it; every node needs its own ports: take them from "
                "`{port}`, or name them in `ports:`"
            )
    return None


def _not_given(node: Node) -> Iterator[Listener]:
    given = {node.address.port, *node.address.ports.values()}
    return (found for found in listening(node.tree()) if found.port not in given)


def _ports(ports: tuple[int, ...], what: str) -> str:
    text = ", ".join(map(str, ports))
    return f"{what} {text}" if len(ports) == 1 else f"{plural(len(ports), what)} {text}"
