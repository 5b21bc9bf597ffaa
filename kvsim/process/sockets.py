"""Who listens where, by the kernel's own tables: /proc/net and the open files of processes.

Linux only; opens no socket.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from kvsim.process import inet_diag, proc
from kvsim.process.identity import Identity

LISTEN = b"0A"
WORD = -1 if sys.byteorder == "little" else 1
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Listener:
    """One listening TCP socket.

    `pid` is None until somebody looked for the owner (or when it cannot be seen).
    """

    address: str
    port: int
    inode: int
    pid: int | None = None
    v6only: bool = False

    def reaches(self, host: str) -> bool:
        """Whether a connection to `host` (an address) could end here; `::` takes IPv4 too unless told not
        to.
        """
        if ":" in host:
            return self.address in (host, "::")
        dual = self.address == "::" and not self.v6only
        return dual or self.address in (host, "0.0.0.0", f"::ffff:{host}")


@dataclass(frozen=True)
class Holder:
    """A process that holds a port."""

    pid: int
    name: str
    cmdline: str

    def describe(self) -> str:
        return f"pid {self.pid} ({self.cmdline[:160] or self.name})"


@dataclass(frozen=True)
class Ownership:
    """Whose listeners stand on one port: `ours` are held by processes of the tree, `foreign` by nobody in
    it.
    """

    port: int
    host: str
    ours: tuple[Listener, ...]
    foreign: tuple[Listener, ...]

    @property
    def owned(self) -> bool:
        """A listener of ours takes connections to the host, and no stranger's does (SO_REUSEPORT would deal
        them out).
        """
        return any(one.reaches(self.host) for one in self.ours) and not self.strangers

    @property
    def strangers(self) -> tuple[Listener, ...]:
        return tuple(one for one in self.foreign if one.reaches(self.host))

    def describe(self) -> str:
        """One sentence on what stands there; names strangers where they can be seen."""
        if self.strangers:
            names = ", ".join(_owner_text(one) for one in self.strangers)
            return f"port {self.port} is {'also ' if self.ours else ''}held by {names}"
        if not self.ours:
            return f"nobody listens on port {self.port}"
        where = ", ".join(sorted({one.address for one in self.ours}))
        return f"listens on {where} port {self.port}" + ("" if self.owned else f", not on {self.host}")


def listeners(port: int | None = None, *, seen_by: int | None = None) -> list[Listener]:
    """Every listening TCP socket (on `port`), IPv4 and IPv6, without owners.

    `seen_by` is a pid whose network namespace is looked at instead of our own.
    """
    found = _from_kernel() if seen_by is None else None
    found = _from_tables(seen_by) if found is None else found
    return [one for one in found if port in (None, one.port)]


def owned_by(
    port: int, tree: Iterable[Identity], host: str = LOOPBACK, *, seen_by: int | None = None
) -> Ownership:
    """Are the listeners on `port` held by processes of `tree`?

    Looks only at the open files of these processes.
    """
    found = listeners(port, seen_by=seen_by)
    owners = _owners({one.inode for one in found}, [one.pid for one in tree]) if found else {}
    named = [_with_pid(one, owners.get(one.inode)) for one in found]
    return Ownership(
        port=port,
        host=host,
        ours=tuple(one for one in named if one.pid is not None),
        foreign=tuple(one for one in named if one.pid is None),
    )


def listening(tree: Iterable[Identity]) -> list[Listener]:
    """All ports on which processes of `tree` listen: for a node that listens elsewhere than it was told."""
    found = listeners()
    owners = _owners({one.inode for one in found}, [one.pid for one in tree])
    return [_with_pid(one, owners[one.inode]) for one in found if one.inode in owners]


def holders(port: int, host: str | None = None) -> list[Holder]:
    """The processes that listen on `port` (for connections to `host`), found in the whole of /proc: slower,
    for messages.
    """
    found = [one for one in listeners(port) if host is None or one.reaches(host)]
    owners = _owners({one.inode for one in found}, _all_pids()) if found else {}
    return [_holder(pid) for pid in sorted(set(owners.values()))]


def holder(host: str, port: int) -> Holder | None:
    """One process that listens there; None when nobody does or it cannot be seen (another user's)."""
    found = holders(port, host)
    return found[0] if found else None


def unix_listeners(tree: Iterable[Identity]) -> list[str]:
    """The names of the unix sockets on which processes of `tree` listen; abstract ones begin with `@`."""
    rows = [line.split() for line in _lines(Path("/proc/net/unix"))]
    names = {int(row[6]): os.fsdecode(row[7]) for row in rows if len(row) > 7 and row[3] == b"00010000"}
    held = set().union(*(proc.socket_inodes(one.pid) for one in tree))
    return sorted({name for inode, name in names.items() if inode in held})


def _from_kernel() -> list[Listener] | None:
    """None where the kernel does not answer such questions."""
    try:
        rows = inet_diag.listening()
    except OSError:
        return None
    return [Listener(_text(row.address), row.port, row.inode, v6only=row.v6only) for row in rows]


def _from_tables(pid: int | None) -> list[Listener]:
    """The slow way, for other namespaces and old kernels: `::` is taken to accept IPv4."""
    folder = Path("/proc/net" if pid is None else f"/proc/{pid}/net")
    rows = [line.split(None, 10) for name in ("tcp", "tcp6") for line in _lines(folder / name)]
    return [Listener(*_place(fields[1]), int(fields[9])) for fields in rows if fields[3] == LISTEN]


def _place(field: bytes) -> tuple[str, int]:
    """`0100007F:2329` → `127.0.0.1`, 9001: words of four bytes, each in the machine's own order."""
    address, _, port = field.partition(b":")
    raw = bytes.fromhex(address.decode("ascii"))
    words = b"".join(raw[place : place + 4][::WORD] for place in range(0, len(raw), 4))
    return _text(words), int(port, 16)


def _text(address: bytes) -> str:
    return str(ipaddress.ip_address(address))


def _lines(path: Path) -> list[bytes]:
    """The rows below the heading; none when the file (IPv6, the namespace) is not there."""
    with contextlib.suppress(OSError):
        return path.read_bytes().splitlines()[1:]
    return []


def _owners(inodes: Collection[int], pids: Iterable[int]) -> dict[int, int]:
    """Inode → one pid that holds it open."""
    found: dict[int, int] = {}
    for pid in pids:
        for inode in proc.socket_inodes(pid).intersection(inodes):
            found.setdefault(inode, pid)
    return found


def _with_pid(one: Listener, pid: int | None) -> Listener:
    return replace(one, pid=pid)


def _owner_text(one: Listener) -> str:
    owners = _owners({one.inode}, _all_pids())
    return (
        _holder(owners[one.inode]).describe()
        if owners
        else f"a process that cannot be seen (on {one.address})"
    )


def _holder(pid: int) -> Holder:
    entry = proc.stat(pid)
    return Holder(pid, entry.comm if entry else "", proc.cmdline(pid))


def _all_pids() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
