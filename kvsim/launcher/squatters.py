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
    with node.at_home():
        ports = (node.place.port, *node.place.ports.values())
        found = [_end(pid) for port in ports for pid in _on(port, node)]
    return [text for text in found if text]


def _on(port: int, node: Node) -> list[int]:
    if not any(one.reaches(node.place.host) for one in listeners(port)):
        return []
    return [holder.pid for holder in holders(port, node.place.host) if _is_ours(holder.pid)]


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
