"""Who listens where, by the kernel's own tables: /proc/net and the open files of processes.

Linux only; opens no socket.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kvsim.process import proc
from kvsim.process.identity import Identity

LISTEN = b"0A"
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

    def reaches(self, host: str) -> bool:
        """Whether a connection to `host` could end here. `::` takes IPv4 too unless its program forbade
        that.
        """
        return self.address in (host, "0.0.0.0", "::", f"::ffff:{host}")


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
    wanted = f":{port:04X}".encode() if port is not None else b""
    return [
        Listener(_address(fields[1]), _port(fields[1]), int(fields[9]))
        for fields in _tcp_rows(seen_by)
        if fields[3] == LISTEN and fields[1].endswith(wanted)
    ]


def used_ports() -> set[int]:
    """Every local TCP port in any state, connections that linger after their end included."""
    return {_port(fields[1]) for fields in _tcp_rows(None)}


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


def _tcp_rows(seen_by: int | None) -> Iterator[list[bytes]]:
    folder = Path("/proc/net" if seen_by is None else f"/proc/{seen_by}/net")
    for name in ("tcp", "tcp6"):
        for line in _lines(folder / name):
            yield line.split(None, 10)


def _lines(path: Path) -> list[bytes]:
    """The rows below the heading; none when the file (IPv6, the namespace) is not there."""
    with contextlib.suppress(OSError):
        return path.read_bytes().splitlines()[1:]
    return []


def _port(field: bytes) -> int:
    return int(field.rpartition(b":")[2], 16)


def _address(field: bytes) -> str:
    """`0100007F:2329` → `127.0.0.1`: words of four bytes, each in the machine's own order."""
    digits = bytes.fromhex(field.partition(b":")[0].decode("ascii"))
    words = b"".join(digits[place : place + 4][::-1] for place in range(0, len(digits), 4))
    return str(ipaddress.ip_address(words))


def _owners(inodes: Collection[int], pids: Iterable[int]) -> dict[int, int]:
    """Inode → one pid that holds it open."""
    found: dict[int, int] = {}
    for pid in pids:
        for inode in proc.socket_inodes(pid).intersection(inodes):
            found.setdefault(inode, pid)
    return found


def _with_pid(one: Listener, pid: int | None) -> Listener:
    return Listener(one.address, one.port, one.inode, pid)


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
