"""Processes that a node hid: they left its group, its session and its environment.

Three traces show them: a port of the node that they still have open, files of the node's folder
that they use, and descent. Kvsim is the subreaper of everything its nodes start, so what has lost
its parent becomes kvsim's child. Only what descends from kvsim is killed, or what still writes its
output into a log of the node: never a foreign process on the port, or a reader of the files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from kvsim.launcher.node import Node
from kvsim.process import identity, procfs
from kvsim.process.child import is_own
from kvsim.process.inherited import is_alone
from kvsim.process.process_tree import Snapshot
from kvsim.process.sockets import holders, listeners
from kvsim.process.termination import KILL_NOW, stop_tree

OUTPUT = (1, 2)


def kill_hidden(nodes: Sequence[Node]) -> list[list[str]]:
    """KILL the processes that each of these ended nodes hid; describes each process."""
    if not nodes:
        return []
    snapshot = Snapshot()
    own = snapshot.with_descendants([os.getpid()]) - {os.getpid()}
    writers = _writers(nodes, snapshot)
    return [
        _kill_all(
            {
                **dict.fromkeys(_users(node, own), "and still used its files"),
                **dict.fromkeys(writers[node.name], "and still wrote into its log"),
                **dict.fromkeys(_holders(node, own), "and still had the port open"),
            }.items()
        )
        for node in nodes
    ]


def kill_orphans(nodes: Sequence[Node]) -> list[str]:
    """KILL the children of kvsim that kvsim did not start, when all its nodes have ended.

    Only in a process that is kvsim alone: otherwise they may be the user's.
    """
    if not nodes or not is_alone():
        return []
    entries = Snapshot().table.values()
    orphans = [
        entry.pid
        for entry in entries
        if entry.ppid == os.getpid() and entry.state not in "ZX" and not is_own(entry.pid)
    ]
    names = " or ".join(node.name for node in nodes)
    return _kill_all((pid, f"(its only trace is its descent, from {names})") for pid in orphans)


def _kill_all(found: Iterable[tuple[int, str]]) -> list[str]:
    return [text for pid, trace in found if (text := _kill(pid, trace))]


def _kill(pid: int, trace: str) -> str:
    process = identity.identify(pid)
    if process is None or not process.alive():
        return ""
    text = f"{process.describe()}, which had hidden itself {trace}"
    stop_tree(process, KILL_NOW)
    return text


def _holders(node: Node, own: set[int]) -> Iterator[int]:
    """The descendants of kvsim that listen on the node's ports."""
    if not own:
        return
    with node.in_network_namespace():
        for port in (node.address.port, *node.address.ports.values()):
            if any(listener.reaches(node.address.host) for listener in listeners(port)):
                yield from (
                    holder.pid for holder in holders(port, node.address.host) if holder.pid in own
                )


def _users(node: Node, own: set[int]) -> Iterator[int]:
    """The descendants of kvsim that are in the node's folder, or write a file of it."""
    folder = f"{node.folder.resolve()}/"
    for pid in own:
        used = () if is_own(pid) else procfs.used_paths(pid)
        if any(f"{path}/".startswith(folder) for path in used):
            yield pid


def _writers(nodes: Sequence[Node], snapshot: Snapshot) -> dict[str, list[int]]:
    """Node → the processes whose standard output or error is a log of it."""
    owners = {(log.st_dev, log.st_ino): node.name for node in nodes for log in _stats(node)}
    found: dict[str, list[int]] = {node.name: [] for node in nodes}
    for pid in snapshot.table:
        outputs = () if is_own(pid) else {procfs.file_written(pid, fd) for fd in OUTPUT}
        for name in {owners[file] for file in outputs if file in owners}:
            found[name].append(pid)
    return found


def _stats(node: Node) -> Iterator[os.stat_result]:
    for number in range(1, node.incarnation + 1):
        path = node.folder / f"{number}.log"
        if path.exists():
            yield path.stat()
