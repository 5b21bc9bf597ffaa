"""Ports for nodes: reserved across all kvsim processes of this machine.

They are below the range from which the kernel takes ports for outgoing connections. A reservation
is a set of abstract unix sockets, one for each block of ports. Such a socket has the same scope as
the ports (the network namespace), the kernel drops it when its owner ends for any reason, and it is
not in the file system. A reservation lasts while nodes are down, so that a restarted node gets
its port again.

A server may derive a second port from its first one. Ports that are reserved `apart` leave room for
that: the ports behind each are free and reserved too.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from kvsim.errors import KvsimError
from kvsim.process.sockets import LOOPBACK, listeners

LOWEST = 10_000
BLOCK = 8
# Ports that are reserved apart are three blocks from each other, or a multiple: not 8, 10, 16, 100
# or 1000 ports, which a server may add to its own.
STRIDE = 3
# A smaller range is not used.
RANGE_LENGTH_MIN = 2_000
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL = (32_768, 60_999)


class NoPorts(KvsimError):
    """Not enough free ports on this machine."""


class Reservation(Struct):
    """Ports that this process has reserved until `release` or its end. A context manager."""

    host: str
    ports: list[int] = field(default_factory=list)
    locks: list[socket.socket] = field(default_factory=list)

    def release(self) -> None:
        while self.locks:
            self.locks.pop().close()

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def reserve(
    count: int,
    host: str = LOOPBACK,
    *,
    apart: bool = False,
    chooser: random.Random | None = None,
) -> Reservation:
    """Reserve `count` free ports, in ascending order within each block.

    `apart`: each is the first port of its own block. The search starts at a random block, so that
    parallel runs rarely meet; `chooser` makes that start repeatable. Raises NoPorts when the
    machine does not have that many.
    """
    reservation = Reservation(host)
    # On any address: a server may bind all of them.
    used = {listener.port for listener in listeners()}
    try:
        for first in _blocks(chooser or random.Random(), STRIDE if apart else 1):
            if len(reservation.ports) >= count:
                break
            _take(reservation, first, used, count - len(reservation.ports), apart=apart)
        if len(reservation.ports) < count:
            raise NoPorts(
                f"{count} free ports are needed below {ephemeral_range()[0]}, "
                f"only {len(reservation.ports)} found"
            )
    except BaseException:
        reservation.release()
        raise
    return reservation


def ephemeral_range() -> tuple[int, int]:
    """First and last port that the kernel gives to outgoing connections.

    Such a connection could take a node's port, or connect to itself.
    """
    try:
        low, high = RANGE_FILE.read_text().split()
    except (OSError, ValueError):
        return USUAL_EPHEMERAL
    return int(low), int(high)


def allowed_range(ephemeral: tuple[int, int]) -> range:
    """Where to look for ports: below the ephemeral range, else above it, else anywhere."""
    low, high = ephemeral
    for candidate in (range(LOWEST, min(low, 65_536)), range(high + 1, 65_536)):
        if len(candidate) >= RANGE_LENGTH_MIN:
            return candidate
    return range(LOWEST, 65_536)


def _bindable(host: str, port: int) -> bool:
    """Whether even a server without SO_REUSEADDR can bind it.

    False while connections of an earlier server linger there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.bind((host, port))
        return True
    return False


def _blocks(chooser: random.Random, stride: int) -> Iterator[int]:
    """The first port of every block, each once, from a random start."""
    allowed = allowed_range(ephemeral_range())
    starts = range(allowed.start, allowed.stop - BLOCK + 1, BLOCK)
    first = chooser.randrange(len(starts))
    return (
        starts[(first + step) % len(starts)]
        for offset in range(stride)
        for step in range(offset, len(starts), stride)
    )


def _take(
    reservation: Reservation, first: int, used: set[int], missing: int, *, apart: bool
) -> None:
    """Add the free ports of one block, if the block itself is free.

    `apart`: add its first port, if all its ports are free.
    """
    lock = _lock(first)
    if lock is None:
        return
    unused = (port for port in range(first, first + BLOCK) if port not in used)
    free = (port for port in unused if _bindable(reservation.host, port))
    if apart:
        found = list(free)
        taken = found[:1] if len(found) == BLOCK else []
    else:
        taken = [port for port, _ in zip(free, range(missing), strict=False)]
    if taken:
        reservation.ports += taken
        reservation.locks.append(lock)
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
