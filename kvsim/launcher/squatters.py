"""Processes that a node started and hid (a session of their own, no mark in their environment), found by the port they still hold.

Ends only what descends from kvsim, which is the subreaper of everything its nodes start: never a stranger on the port.
What hides and holds no port cannot be told from anybody's process and is not found.
"""

from __future__ import annotations

import os

from kvsim.launcher.node import Node
from kvsim.process import identity, proc
from kvsim.process.ladder import KILL_NOW, stop_tree
from kvsim.process.sockets import holders, listeners

GENERATIONS_MAX = 64


def end(node: Node) -> list[str]:
    """KILL whoever of ours still listens on an ended node's ports; each in words."""
    found = []
    for port in (node.place.port, *node.place.ports.values()):
        if any(one.reaches(node.place.host) for one in listeners(port)):
            found += [_end(holder.pid) for holder in holders(port, node.place.host) if _is_ours(holder.pid)]
    return [text for text in found if text]


def _end(pid: int) -> str:
    one = identity.of(pid)
    if one is None:
        return ""
    text = f"{one.describe()}, which had hidden itself and still held the port"
    stop_tree(one, KILL_NOW)
    return text


def _is_ours(pid: int) -> bool:
    for _ in range(GENERATIONS_MAX):
        entry = proc.stat(pid)
        if entry is None or entry.ppid <= 1:
            return False
        if entry.ppid == os.getpid():
            return True
        pid = entry.ppid
    return False
