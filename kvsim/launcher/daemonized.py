"""Programs that daemonize: the started process ends, and its pid file names the node's process.

A pid file is trusted only when the process it names carries the node's tag, descends from the
process that was started, or descends from kvsim and has the node's port or a file of its data
directory open.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from kvsim.config.template import render
from kvsim.launcher.node import Node, Orphan
from kvsim.launcher.state import LauncherState
from kvsim.process import procfs
from kvsim.process.child import Child
from kvsim.process.identity import Identity, identify
from kvsim.process.process_tree import Snapshot
from kvsim.process.sockets import owned_by
from kvsim.waiting import Deadline, TimedOut, wait_until

# One reading of the process table may miss a process that is forked meanwhile, so an empty result
# is read again for this long.
FORK_WAIT_S = 0.5


def adopt(state: LauncherState, node: Node) -> bool:
    """Make the daemon the node's process.

    False while its pid file names none of the node's processes.
    """
    found = _named_process(node, state.names(node.name))
    if found is None:
        return False
    launched = node.started_process
    node.known.append(launched.identity)
    node.process = _hold(found, launched)
    state.note(
        "adopted",
        node=node.name,
        incarnation=node.incarnation,
        pid=found.pid,
        start_ticks=found.start_ticks,
        pid_file=node.program.stop.pid_file,
        launched=launched.pid,
    )
    return True


def is_final(state: LauncherState, node: Node) -> bool:
    """Whether the node's process is the process that will serve.

    With a pid file it must be the process that the file names: a parent that is about to end may
    still be there while its daemon already serves.
    """
    if node.program.stop.pid_file is None:
        return True
    found = _named_process(node, state.names(node.name))
    return found is not None and found.pid == node.started_process.pid


def may_become_daemon(node: Node, names: Mapping[str, Any]) -> bool:
    """Whether a daemon may still write its pid file.

    The started process has ended well, its program has a pid file, and a process of it runs, or its
    pid file names one that runs.
    """
    exit_status = node.started_process.poll()
    if node.program.stop.pid_file is None or exit_status is None or exit_status.code != 0:
        return False

    def may_be_there() -> bool:
        pid = _written_pid(node, names)
        return bool(node.tree()) or (pid is not None and _descends_from_kvsim(pid))

    with contextlib.suppress(TimedOut):
        wait_until(
            may_be_there,
            Deadline.after(FORK_WAIT_S),
            "the daemon to be forked",
        )
        return True
    return False


def _named_process(node: Node, names: Mapping[str, Any]) -> Identity | None:
    """The process that the node's pid file names, if it is the node's."""
    pid = _written_pid(node, names)
    if pid is None:
        return None
    own = next((process for process in node.tree() if process.pid == pid), None)
    # A daemon may have left the tree, and its environment: what it uses shows whose it is.
    return own or _using(pid, node)


def _written_pid(node: Node, names: Mapping[str, Any]) -> int | None:
    """The pid in the node's pid file, of a process that runs."""
    pid_file = node.program.stop.pid_file
    if pid_file is None:
        return None
    path = node.data / render(pid_file, names)
    try:
        pid = int(path.read_text(encoding="utf-8", errors="replace").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if procfs.stat(pid) is not None else None


def _using(pid: int, node: Node) -> Identity | None:
    """The process, if kvsim started it and it has the node's port or a file of its data open."""
    process = identify(pid)
    if process is None or not _descends_from_kvsim(pid):
        return None
    with node.in_network_namespace():
        if owned_by(node.address.port, [process], node.address.host).owned:
            return process
    folder = f"{node.data.resolve()}/"
    return process if any(path.startswith(folder) for path in procfs.open_files(pid)) else None


def _descends_from_kvsim(pid: int) -> bool:
    """Whether kvsim started it, or a process that it started, also one that has ended."""
    return pid != os.getpid() and pid in Snapshot().with_descendants([os.getpid()])


def _hold(found: Identity, launched: Child | Orphan) -> Child | Orphan:
    """The daemon as our child where kvsim is its parent now, as its subreaper: then it reaps it."""
    stat = found.stat()
    if isinstance(launched, Child) and stat is not None and stat.ppid == os.getpid():
        return Child(found, launched.argv, launched.stdout, launched.stderr, drain=launched.drain)
    return Orphan(found)
