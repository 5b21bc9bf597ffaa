"""A node as faults use it. The runner makes the handles: no fault depends on the launcher."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec import Struct

from kvsim.errors import KvsimError
from kvsim.faults.fault import Evidence, Recovery
from kvsim.process.identity import Identity
from kvsim.text import one_line
from kvsim.timeouts import PLAIN, Timeouts

CONNECT_TIMEOUT_S = 1.0


class NodeHandle(Struct, frozen=True):
    """One node, as functions that act on it or observe it.

    `tree`: the node's running processes now. `ended`: how its process ended; None while it runs.
    `kill(signal)`, `stop()`, `start()`: wait until it is done and raise NodeFailed otherwise.
    `expect_end()`: the fault is about to end the node, or has just done so. Where it ends several,
    it says so of all before it waits for any: to wait for one notes the ends of all.
    `record_kill(signal, why)`: the fault itself has sent that signal; wait for the end.
    `in_network_namespace()`: inside, the node is reached without a link.
    `ping(timeout_s)`: one request on a new connection; None when answered, else what was observed.
    `logged(pattern)`: whether the present incarnation has logged such a line.
    `tolerate_end(why)`: from now on the node may end by itself; with "" no longer. True: it has.
    `limits`: how long kvsim's own waits may take. `survives_power`: its program guarantees that
    what it acknowledged survives a power cut.
    """

    name: str
    host: str
    port: int
    data_dir: Path
    tree: Callable[[], Sequence[Identity]]
    ended: Callable[[], str | None]
    kill: Callable[[str], None]
    expect_end: Callable[[], None]
    record_kill: Callable[[str, str], None]
    stop: Callable[[], None]
    start: Callable[[], None]
    in_network_namespace: Callable[[], AbstractContextManager[None]]
    ping: Callable[[float], str | None]
    logged: Callable[[str], bool]
    tolerate_end: Callable[[str], bool]
    limits: Timeouts = PLAIN
    survives_power: bool = False


def names_of(handles: Sequence[NodeHandle]) -> tuple[str, ...]:
    return tuple(handle.name for handle in handles)


def evidence_of_end(handle: NodeHandle) -> Evidence:
    """How the process ended, and what happens to a connection to its port."""
    with handle.in_network_namespace():
        ended, port = handle.ended(), refusal_problem(handle.host, handle.port)
    end = ended or "is still running"
    message = f"{handle.name} {end}; its port {port or 'refuses connections'}"
    measured = {"ended": ended, "port": port or "refused"}
    return Evidence(handle.name, ended is not None and port is None, message, measured)


def refusal_problem(host: str, port: int) -> str | None:
    """None when a connection is refused, else what happened instead."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S):
            return "still accepts connections"
    except ConnectionRefusedError:
        return None
    except OSError as error:
        return f"answers with: {error}"


def start_again(handle: NodeHandle) -> Recovery:
    """Start the node unless it is running. It has recovered when the program's probes pass."""
    name = handle.name
    if handle.ended() is None:
        return Recovery(name, True, f"{name} is running")
    try:
        handle.start()
    except KvsimError as error:
        return Recovery(name, False, f"{name} did not start again: {one_line(str(error))}")
    return Recovery(name, True, f"{name} is ready again")
