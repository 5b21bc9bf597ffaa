"""Ports for nodes: reserved across all kvsim processes of this machine, below the range the kernel takes
ports from itself.

A reservation is a set of abstract unix sockets, one for each block of ports: it has the same scope as the
ports (the network namespace), the kernel drops it with its owner, however that dies, and nothing of it is in
the file system. It is kept while nodes are down, so that a restart comes back on its port.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.errors import KvsimError
from kvsim.process.sockets import LOOPBACK, listeners

LOWEST = 10_000
BLOCK = 8
ENOUGH = 2_000  # a range smaller than this is not worth having
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL = (32_768, 60_999)


class NoPorts(KvsimError):
    """Not enough free ports on this machine."""


@dataclass
class Reservation:
    """Ports that are ours until `release` (or our death). Use as a context manager or release by hand."""

    host: str
    ports: list[int] = field(default_factory=list)
    _locks: list[socket.socket] = field(default_factory=list)

    def release(self) -> None:
        while self._locks:
            self._locks.pop().close()

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def reserve(count: int, host: str = LOOPBACK, *, chooser: random.Random | None = None) -> Reservation:
    """Reserve `count` ports that nobody uses, in ascending order within each block.

    The search starts at a random place, so that parallel runs rarely meet; `chooser` makes that place
    repeatable. Raises NoPorts when the machine has not that many.
    """
    reservation = Reservation(host)
    used = {one.port for one in listeners()}  # on any address: a server may bind them all
    try:
        for first in _blocks(chooser or random.Random()):
            if len(reservation.ports) >= count:
                break
            _take(reservation, first, used, count)
        if len(reservation.ports) < count:
            raise NoPorts(
                f"{count} free ports wanted below {ephemeral_range()[0]}, only {len(reservation.ports)} found"
            )
    except BaseException:
        reservation.release()
        raise
    return reservation


def ephemeral_range() -> tuple[int, int]:
    """First and last port that the kernel gives to outgoing connections: they would steal ours, or connect
    to themselves.
    """
    try:
        low, high = RANGE_FILE.read_text().split()
    except (OSError, ValueError):
        return USUAL_EPHEMERAL
    return int(low), int(high)


def allowed_range(ephemeral: tuple[int, int]) -> range:
    """Where to look for ports: below the ephemeral range, else above it, else (a machine with no room)
    anywhere.
    """
    low, high = ephemeral
    for candidate in (range(LOWEST, min(low, 65_536)), range(high + 1, 65_536)):
        if len(candidate) >= ENOUGH:
            return candidate
    return range(LOWEST, 65_536)


def can_listen(host: str, port: int) -> bool:
    """Whether a server could listen there now; tried the way most servers do it (SO_REUSEADDR)."""
    with _socket(host) as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)
        return True
    return False


def _untouched(host: str, port: int) -> bool:
    """Whether even a server without SO_REUSEADDR could bind it: no connection of an earlier run lingers
    there.
    """
    with _socket(host) as probe, contextlib.suppress(OSError):
        probe.bind((host, port))
        return True
    return False


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _blocks(chooser: random.Random) -> Iterator[int]:
    """The first port of every block, from a random one on, each once."""
    allowed = allowed_range(ephemeral_range())
    starts = range(allowed.start, allowed.stop - BLOCK + 1, BLOCK)
    first = chooser.randrange(len(starts))
    return (starts[(first + step) % len(starts)] for step in range(len(starts)))


def _take(reservation: Reservation, first: int, used: set[int], count: int) -> None:
    """Add the free ports of one block, if the block itself is free."""
    lock = _lock(first)
    if lock is None:
        return
    missing = count - len(reservation.ports)
    unused = (port for port in range(first, first + BLOCK) if port not in used)
    free = (port for port in unused if _untouched(reservation.host, port))
    taken = [port for port, _ in zip(free, range(missing), strict=False)]
    if taken:
        reservation.ports += taken
        reservation._locks.append(lock)
    else:
        lock.close()


def _lock(first: int) -> socket.socket | None:
    """An abstract socket that only one process can bind; None when another has it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):
        lock.bind(f"\0kvsim.ports.{first}")
        return lock
    lock.close()
    return None
