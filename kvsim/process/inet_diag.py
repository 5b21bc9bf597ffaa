"""Listening TCP sockets, asked from the kernel by netlink (sock_diag(7), as `ss -l` does).

A hundred times faster than /proc/net/tcp, which lists every connection of the machine. It also
shows which IPv6 listeners refuse IPv4. It shows the network namespace of the caller only.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from msgspec import Struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
# NLM_F_REQUEST | NLM_F_DUMP
REQUEST_DUMP = 0x301
ERROR, DONE = 2, 3
LISTEN_STATE = 1 << 10
V6ONLY_ATTRIBUTE = 11
RECEIVE_BYTES = 1 << 18

# Length, type, flags, sequence, port id.
HEADER = struct.Struct("=IHHII")
# Family, protocol, extensions, states, socket id (any).
QUERY = struct.Struct("=BBBxI48x")
# `struct inet_diag_msg`.
SOCKET = struct.Struct("=BBBB2s2s16s16s12xIIIII")
ATTRIBUTE = struct.Struct("=HH")


class SocketRow(Struct, frozen=True):
    """One listening socket; `address` is 4 or 16 bytes, `v6only` whether it refuses IPv4."""

    address: bytes
    port: int
    inode: int
    v6only: bool = False


def listening() -> list[SocketRow]:
    """All listening TCP sockets. Raises OSError where the kernel or a sandbox refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as link:
        return [*_ask(link, socket.AF_INET), *_ask(link, socket.AF_INET6)]


def _ask(link: socket.socket, family: int) -> Iterator[SocketRow]:
    query = QUERY.pack(family, socket.IPPROTO_TCP, 0, LISTEN_STATE)
    length = HEADER.size + len(query)
    link.send(HEADER.pack(length, SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0) + query)
    while True:
        for kind, body in messages(link.recv(RECEIVE_BYTES)):
            if kind == DONE:
                return
            if kind == ERROR:
                raise OSError(-struct.unpack_from("=i", body)[0], "sock_diag refused")
            yield row(body)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of every netlink message in one datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield kind, data[offset + HEADER.size : offset + length]
        offset += _aligned(length)


def row(body: bytes) -> SocketRow:
    """One inet_diag_msg with its attributes."""
    family, _, _, _, port, _, address, *_, inode = SOCKET.unpack_from(body)
    size = 4 if family == socket.AF_INET else 16
    v6only = any(
        value[:1] == b"\1"
        for kind, value in _attributes(body[SOCKET.size :])
        if kind == V6ONLY_ATTRIBUTE
    )
    return SocketRow(address[:size], int.from_bytes(port, "big"), inode, v6only)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size:
            return
        yield kind, data[offset + ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    """Netlink pads messages and attributes to four bytes."""
    return (length + 3) & ~3
