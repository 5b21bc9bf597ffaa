"""Which process listens where, by the kernel's tables: /proc/net and the open files of processes.

Linux only. Opens no TCP socket.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import itertools
import socket
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from kvsim.ip_addresses import is_loopback, leads_to, parse_ip
from kvsim.process import inet_diag, procfs
from kvsim.process.identity import COMMAND_LENGTH_MAX, Identity
from kvsim.text import truncate

LISTEN = b"0A"
WORD_BYTES = 4
WORD_STEP = -1 if sys.byteorder == "little" else 1
LOOPBACK = "127.0.0.1"
IPV6 = 6
# An IPv4 address on an IPv6 socket: what a Java program that binds 127.0.0.1 listens on.
MAPPED = "::ffff:"


class Listener(Struct, frozen=True):
    """One listening TCP socket.

    `pid` is None before the owner was searched, and when the owner is not visible.
    """

    address: str
    port: int
    inode: int
    pid: int | None = None
    v6only: bool = False

    def reaches(self, host: str) -> bool:
        """Whether a connection to `host` (an address) could end here.

        A listener on `::` takes IPv4 too, unless it refuses IPv4.
        """
        address, target = parse_ip(self.address), parse_ip(host)
        if address is None or target is None:
            return leads_to(self.address, [host])
        if not address.is_unspecified:
            return address == target
        dual = address.version == IPV6 and not self.v6only
        return address.version == target.version or dual


class PortHolder(Struct, frozen=True):
    """A process that holds a port."""

    pid: int
    name: str
    cmdline: str

    def describe(self) -> str:
        return f"pid {self.pid} ({truncate(self.cmdline, COMMAND_LENGTH_MAX) or self.name})"


class Ownership(Struct, frozen=True):
    """The listeners on a port: `own` belong to processes of a tree, `foreign` do not."""

    port: int
    host: str
    own: tuple[Listener, ...]
    foreign: tuple[Listener, ...]

    @property
    def owned(self) -> bool:
        """Whether connections to the host reach a listener of the tree, and no foreign listener.

        With SO_REUSEPORT the kernel would share them between both.
        """
        return any(listener.reaches(self.host) for listener in self.own) and not self.conflicting

    @property
    def conflicting(self) -> tuple[Listener, ...]:
        """The foreign listeners that connections to the host reach."""
        return tuple(listener for listener in self.foreign if listener.reaches(self.host))

    def describe(self) -> str:
        """One sentence on what listens there; names foreign processes that are visible."""
        if self.conflicting:
            names = ", ".join(_owner_text(listener) for listener in self.conflicting)
            return f"port {self.port} is {'also ' if self.own else ''}in use by {names}"
        if not self.own:
            return f"no process listens on port {self.port}"
        addresses = ", ".join(sorted({listener.address for listener in self.own}))
        elsewhere = "" if self.owned else f", not on {self.host}"
        return f"listens on {addresses} port {self.port}{elsewhere}"


@functools.cache
def own_hosts() -> tuple[str, ...]:
    """The names and addresses of this machine, beside loopback, without asking a name server.

    Read once: those that change while kvsim works are not looked for.
    """
    hosts = [socket.gethostname()]
    table = Path("/proc/net/fib_trie")
    rows = table.read_text().splitlines() if table.exists() else []
    for row, kind in itertools.pairwise(rows):
        if "|-- " in row and "/32 host LOCAL" in kind:
            hosts.append(row.rpartition(" ")[2])
    for line in _lines(Path("/proc/net/if_inet6"), heading=0):
        hosts.append(str(ipaddress.ip_address(bytes.fromhex(line.split()[0].decode("ascii")))))
    return tuple(sorted({host for host in hosts if not is_loopback(host)}))


def listeners(port: int | None = None, *, namespace_of: int | None = None) -> list[Listener]:
    """Every listening TCP socket (on `port`), IPv4 and IPv6, without owners.

    `namespace_of` is a pid: look in the network namespace of that process instead of our own.
    """
    found = _from_kernel() if namespace_of is None else None
    found = _from_tables(namespace_of) if found is None else found
    return [listener for listener in found if port in (None, listener.port)]


def owned_by(
    port: int, tree: Iterable[Identity], host: str = LOOPBACK, *, namespace_of: int | None = None
) -> Ownership:
    """Which listeners on `port` belong to processes of `tree`?

    Reads only the open files of these processes.
    """
    found = _with_owners(listeners(port, namespace_of=namespace_of), tree)
    return Ownership(
        port=port,
        host=host,
        own=tuple(listener for listener in found if listener.pid is not None),
        foreign=tuple(listener for listener in found if listener.pid is None),
    )


def listening(tree: Iterable[Identity]) -> list[Listener]:
    """All sockets on which processes of `tree` listen."""
    return [listener for listener in _with_owners(listeners(), tree) if listener.pid is not None]


def holders(port: int, host: str | None = None) -> list[PortHolder]:
    """The processes that listen on `port` (for connections to `host`).

    Searches the whole of /proc, which is slower: for messages.
    """
    found = [listener for listener in listeners(port) if host is None or listener.reaches(host)]
    owners = _owners({listener.inode for listener in found}, _all_pids()) if found else {}
    return [_holder(pid) for pid in sorted(set(owners.values()))]


def ports_in_use() -> dict[int, PortHolder | None]:
    """Every port on which a process listens, with a process; None: not visible. Slow, as above."""
    found = listeners()
    owners = _owners({listener.inode for listener in found}, _all_pids())
    pids = {listener.port: owners.get(listener.inode) for listener in found}
    return {port: None if pid is None else _holder(pid) for port, pid in pids.items()}


def describe_holder(port: int, host: str | None = None) -> str:
    """The process that listens on `port` (for connections to `host`), for messages."""
    found = holders(port, host)
    return found[0].describe() if found else "a process that kvsim cannot identify"


def _from_kernel() -> list[Listener] | None:
    """None where the kernel does not offer sock_diag."""
    try:
        rows = inet_diag.listening()
    except OSError:
        return None
    return [Listener(_text(row.address), row.port, row.inode, v6only=row.v6only) for row in rows]


def _from_tables(pid: int | None) -> list[Listener]:
    """Slower, for other namespaces and old kernels. Assumes that `::` accepts IPv4."""
    folder = Path("/proc/net" if pid is None else f"/proc/{pid}/net")
    rows = [line.split(None, 10) for name in ("tcp", "tcp6") for line in _lines(folder / name)]
    return [Listener(*_address(row[1]), int(row[9])) for row in rows if row[3] == LISTEN]


def _address(field: bytes) -> tuple[str, int]:
    """`0100007F:2329` -> `127.0.0.1`, 9001: words of four bytes, each in the machine's order."""
    address, _, port = field.partition(b":")
    raw = bytes.fromhex(address.decode("ascii"))
    starts = range(0, len(raw), WORD_BYTES)
    words = b"".join(raw[start : start + WORD_BYTES][::WORD_STEP] for start in starts)
    return _text(words), int(port, 16)


def _text(address: bytes) -> str:
    """An address as text; an IPv4 address on an IPv6 socket as `::ffff:127.0.0.1`.

    Python before 3.13 writes such an address as `::ffff:7f00:1`.
    """
    value = ipaddress.ip_address(address)
    mapped = value.ipv4_mapped if isinstance(value, ipaddress.IPv6Address) else None
    return f"{MAPPED}{mapped}" if mapped else str(value)


def _lines(path: Path, heading: int = 1) -> list[bytes]:
    """The rows below the heading; none when there is no such file (no IPv6, no namespace)."""
    with contextlib.suppress(OSError):
        return path.read_bytes().splitlines()[heading:]
    return []


def _owners(inodes: Collection[int], pids: Iterable[int]) -> dict[int, int]:
    """Inode -> one pid that has it open."""
    found: dict[int, int] = {}
    for pid in pids:
        for inode in procfs.socket_inodes(pid).intersection(inodes):
            found.setdefault(inode, pid)
    return found


def _with_owners(found: list[Listener], tree: Iterable[Identity]) -> list[Listener]:
    """The listeners with their pid, where a process of `tree` has them open."""
    inodes = {listener.inode for listener in found}
    owners = _owners(inodes, [process.pid for process in tree]) if found else {}
    return [replace(listener, pid=owners.get(listener.inode)) for listener in found]


def _owner_text(listener: Listener) -> str:
    owners = _owners({listener.inode}, _all_pids())
    if owners:
        return _holder(owners[listener.inode]).describe()
    return f"a process that kvsim cannot identify (on {listener.address})"


def _holder(pid: int) -> PortHolder:
    entry = procfs.stat(pid)
    return PortHolder(pid, entry.comm if entry else "", procfs.cmdline(pid))


def _all_pids() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
