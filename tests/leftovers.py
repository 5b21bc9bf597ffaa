"""Processes and ports that kvsim left behind, as the tests see them from outside.

Finds tagged processes and what they listen on. Ends none of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kvsim.process import procfs
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import Identity, from_stat
from kvsim.process.process_tree import Snapshot
from kvsim.process.sockets import Listener, listening
from kvsim.text import truncate

COMMAND_LENGTH_MAX = 160
UNIX_TABLE = Path("/proc/net/unix")
# The flag of a socket that accepts connections (__SO_ACCEPTCON).
ACCEPTING = b"00010000"


@dataclass(frozen=True)
class Leftover:
    """One tagged process that is still alive."""

    identity: Identity
    tag: ProcessTag
    cmdline: str
    state: str
    listeners: tuple[Listener, ...] = ()
    unix_sockets: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line as of ps: pid, state, node, run, ports, command."""
        ports = ",".join(f"{item.address}:{item.port}" for item in self.listeners) or "-"
        unix = f" unix {','.join(self.unix_sockets)}" if self.unix_sockets else ""
        node, run = self.tag.node or "-", self.tag.run[:8]
        return (
            f"{self.identity.pid:>7} {self.state} {node:<6} run {run} ports {ports}{unix}  "
            f"{truncate(self.cmdline, COMMAND_LENGTH_MAX)}"
        )


def find(tag: ProcessTag | None = None) -> list[Leftover]:
    """The living processes that carry `tag` (None: any tag of kvsim), by run, node and pid."""
    snapshot = Snapshot()
    pids = snapshot.tagged if tag is None else snapshot.by_tag.get(tag, ())
    found = [_describe(snapshot, snapshot.tagged[pid], pid) for pid in pids]
    return sorted(
        (leftover for leftover in found if leftover),
        key=lambda leftover: (leftover.tag.run, leftover.tag.node or "", leftover.identity.pid),
    )


def _describe(snapshot: Snapshot, tag: ProcessTag, pid: int) -> Leftover | None:
    process = from_stat(snapshot.table[pid])
    if process is None or not process.alive():
        return None
    return Leftover(
        identity=process,
        tag=tag,
        cmdline=procfs.cmdline(pid),
        state=snapshot.table[pid].state,
        listeners=tuple(listening([process])),
        unix_sockets=tuple(unix_listeners([process])),
    )


def can_listen(host: str, port: int) -> bool:
    """Whether a server could listen there now, tried as most servers do it: with SO_REUSEADDR."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)
        return True
    return False


def unix_listeners(tree: Iterable[Identity]) -> list[str]:
    """The names of the unix sockets on which processes of `tree` listen.

    An abstract name begins with `@`.
    """
    rows = [line.split() for line in UNIX_TABLE.read_bytes().splitlines()[1:]]
    names = {
        int(row[6]): os.fsdecode(row[7]) for row in rows if len(row) > 7 and row[3] == ACCEPTING
    }
    held = set().union(*(procfs.socket_inodes(process.pid) for process in tree))
    return sorted({name for inode, name in names.items() if inode in held})
