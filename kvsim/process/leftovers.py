"""What earlier or other runs left behind: processes that carry a mark, and what they listen on.

Looks; ends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvsim.process import proc
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity, from_stat
from kvsim.process.sockets import Listener, listening, unix_listeners
from kvsim.process.tree import Snapshot


@dataclass(frozen=True)
class Leftover:
    """One marked process that still lives."""

    identity: Identity
    mark: Mark
    cmdline: str
    state: str
    listeners: tuple[Listener, ...] = ()
    unix_sockets: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line as of ps: pid, state, node, run, ports, command."""
        ports = ",".join(f"{one.address}:{one.port}" for one in self.listeners) or "-"
        unix = f" unix {','.join(self.unix_sockets)}" if self.unix_sockets else ""
        command = self.cmdline[:160]
        node, run = self.mark.node or "-", self.mark.run[:8]
        return f"{self.identity.pid:>7} {self.state} {node:<6} run {run} ports {ports}{unix}  {command}"


def find(mark: Mark | None = None) -> list[Leftover]:
    """The living processes that carry `mark` (None: any kvsim mark at all), by run, node and pid."""
    snapshot = Snapshot()
    wanted = snapshot.marked if mark is None else snapshot.marks.get(mark, ())
    found = [_look(snapshot, snapshot.marked[pid], pid) for pid in wanted]
    return sorted(
        (one for one in found if one), key=lambda one: (one.mark.run, one.mark.node or "", one.identity.pid)
    )


def _look(snapshot: Snapshot, mark: Mark, pid: int) -> Leftover | None:
    one = from_stat(snapshot.table[pid])
    if one is None or not one.alive():
        return None
    return Leftover(
        identity=one,
        mark=mark,
        cmdline=proc.cmdline(pid),
        state=snapshot.table[pid].state,
        listeners=tuple(listening([one])),
        unix_sockets=tuple(unix_listeners([one])),
    )
