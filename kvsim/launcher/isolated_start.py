"""Starts a node once more, alone in a network without other processes: which ports does it take?

On a copy of its data directory, and only to explain a failed start. There no port is in use, so it
shows ports that only the program knows. Linux only, and only where the system allows a network
namespace. Ends what it starts.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from kvsim.launcher.node import Node, isolated_data
from kvsim.launcher.prepare import Names, prepare, start_plan
from kvsim.launcher.state import LauncherState
from kvsim.network.addresses import names_for
from kvsim.process import empty_network
from kvsim.process.child import Child
from kvsim.process.environment import ProcessTag
from kvsim.process.exec_wrappers import in_empty_network
from kvsim.process.executable import resolve
from kvsim.process.netns import in_own_namespace
from kvsim.process.sockets import listeners
from kvsim.process.spawn import SpawnPlan, spawn
from kvsim.process.termination import KILL_NOW, stop_tree
from kvsim.run_directory import remove_folder
from kvsim.timeouts import DefaultTimeout
from kvsim.waiting import Deadline, TimedOut, wait_until

WAIT_S = DefaultTimeout(5.0)


class IsolatedStart(Struct, frozen=True):
    """The ports on which the node listened, and the log of this start. `ended`: by itself."""

    ports: frozenset[int]
    log: Path
    ended: bool


def start_isolated(
    state: LauncherState, node: Node, enough: Callable[[int], bool]
) -> IsolatedStart | None:
    """Watch it until it listens on a port that is `enough`, ends, or its time is over.

    None: this system allows no such start. Raises what `prepare` and `spawn` raise.
    """
    twin = _twin(node)
    remove_folder(twin.data.parent)
    if node.data.is_dir():
        shutil.copytree(node.data, twin.data, symlinks=True, ignore_dangling_symlinks=True)
    names = _names(state, twin)
    prepare(twin, names)
    child = spawn(_plan(twin, names))
    try:
        return _watch(child, twin.log_path, enough, state.timeouts.of(WAIT_S))
    finally:
        stop_tree(child, KILL_NOW, tag=twin.tag)
        remove_folder(twin.data)


def _twin(node: Node) -> Node:
    """The node with a folder and a tag of its own."""
    data = isolated_data(node.folder)
    return replace(
        node,
        address=replace(node.address, data_dir=str(data)),
        tag=ProcessTag(node.tag.run, f"{node.name}-{data.parent.name}"),
        folder=data.parent,
        process=None,
        known=[],
        _logs={},
    )


def _names(state: LauncherState, twin: Node) -> Names:
    addresses = [state.views.of(twin.name, address) for address in state.addresses.values()]
    return names_for(state.cluster, twin.address, addresses)


def _plan(twin: Node, names: Names) -> SpawnPlan:
    # A wrapper or a library of kvsim in the program would only slow down this start.
    plan = replace(start_plan(twin, names), stderr=None, line_buffered=False, pty=False)
    program = str(resolve(plan.argv[0], plan.cwd, plan.env))
    return replace(plan, argv=tuple(in_empty_network([program, *plan.argv[1:]])))


def _watch(
    child: Child, log: Path, enough: Callable[[int], bool], timeout_s: float
) -> IsolatedStart | None:
    seen: set[int] = set()

    def over() -> bool:
        ended = child.poll() is not None
        if not ended and not in_own_namespace(child.pid):
            seen.update(found.port for found in listeners(namespace_of=child.pid))
        return ended or any(map(enough, seen))

    with contextlib.suppress(TimedOut):
        wait_until(over, Deadline.after(timeout_s), "its ports")
    status = child.poll()
    if status is not None and status.code == empty_network.NOT_RUN:
        return None
    return IsolatedStart(frozenset(seen), log, ended=status is not None)
