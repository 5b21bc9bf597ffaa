"""A TCP connection that never waits past a deadline: the only socket of the stream protocols.

It carries bytes; deadlines are seconds of `time.monotonic()`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any

CHUNK_BYTES = 65536
# Of a flood of unsolicited bytes, this many are reported.
UNSOLICITED_BYTES_MAX = 65536
# How a connection that was made and then reset shows while it is looked at.
RESETS = frozenset((errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN))
# family, kind, protocol, canonical name, address
AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
_NO_LINGER = struct.pack("ii", 1, 0)


class ConnectionFailed(Exception):
    """The connection failed. `failure` is a word of Exchange.failure. Caught in kvsim/client."""

    def __init__(self, failure: str, problem: str) -> None:
        self.failure, self.problem = failure, problem
        super().__init__(problem)


class Connection:
    """A connected, non-blocking socket. `name` is `local -> remote`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._writing = False
        self.name = f"{_address(sock.getsockname())} -> {_address(sock.getpeername())}"

    def detach(self) -> socket.socket:
        """The non-blocking socket itself. The caller waits on it and closes it."""
        return self._sock

    def send_some(self, data: memoryview) -> int:
        """Send as much as the kernel takes now, perhaps 0 bytes. Raises ConnectionFailed."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            problem = f"the connection broke while sending: {error.strerror}"
            raise ConnectionFailed("reset", problem) from None

    def wait(self, deadline: float, *, writing: bool) -> bool:
        """Wait for bytes, for an end or, when `writing`, for space to send.

        True: there is something to receive. Raises ConnectionFailed `timeout`.
        """
        if writing is not self._writing:
            self._writing = writing
            self._poll.modify(self._sock, select.POLLIN | (select.POLLOUT if writing else 0))
        events = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not events:
            raise ConnectionFailed("timeout", "no whole reply in time")
        return bool(events[0][1] & ~select.POLLOUT)

    def receive(self) -> bytes:
        """The bytes that have arrived; b"" at the end. Needs `wait`. Raises ConnectionFailed."""
        try:
            return self._sock.recv(CHUNK_BYTES)
        except OSError as error:
            problem = f"the connection broke while waiting for the reply: {error.strerror}"
            raise ConnectionFailed("reset", problem) from None

    def unsolicited(self) -> tuple[bytes, bool]:
        """(bytes that arrived without a request, whether the peer has closed). Does not wait."""
        received = bytearray()
        while len(received) < UNSOLICITED_BYTES_MAX:
            try:
                chunk = self._sock.recv(CHUNK_BYTES)
            except BlockingIOError:
                return bytes(received), False
            except OSError:
                return bytes(received), True
            if not chunk:
                return bytes(received), True
            received += chunk
        return bytes(received[:UNSOLICITED_BYTES_MAX]), False

    def wait_unsolicited(self, seconds: float) -> tuple[bytes, bool]:
        """As `unsolicited`, after a wait for the first byte of at most `seconds`."""
        with contextlib.suppress(ConnectionFailed):
            self.wait(time.monotonic() + seconds, writing=False)
        return self.unsolicited()

    def close(self, *, peer_closed: bool = False) -> None:
        """Close. When the peer has closed, do it with a reset.

        The peer's port is then free at once, so that a node can be started there again.
        """
        if peer_closed:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._sock.close()


def open_connection(host: str, port: int, deadline: float) -> Connection:
    """Connect. Raises ConnectionFailed `unreachable`: nothing was sent."""
    problem = "no address"
    for family, kind, protocol, _, address in _resolve(host, port, deadline):
        sock = socket.socket(family, kind, protocol)
        try:
            _connect(sock, address, deadline)
            return Connection(sock)
        except OSError as error:
            sock.close()
            problem = error.strerror or str(error)
            if error.errno in RESETS:
                problem = f"the connection was reset as soon as it was made: {problem}"
                raise ConnectionFailed("reset", problem) from None
    raise ConnectionFailed("unreachable", f"cannot connect to {host}:{port}: {problem}")


def _resolve(host: str, port: int, deadline: float) -> Sequence[AddressInfo]:
    """The addresses of a host. A name is looked up in a thread: a resolver has no time limit.

    Raises ConnectionFailed `unreachable`.
    """
    with contextlib.suppress(OSError, UnicodeError):
        # As bytes: for a text, Python would import its codec for international names.
        address = host.encode("ascii")
        flags = socket.AI_NUMERICHOST
        return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)
    found: list[AddressInfo] = []
    problem = f"the name {host} was not resolved in time"

    def look_up() -> None:
        nonlocal problem
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            problem = f"cannot resolve {host}: {error}"

    thread = threading.Thread(target=look_up, name=f"resolve {host}", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if not found:
        raise ConnectionFailed("unreachable", problem)
    return found


def _connect(sock: socket.socket, address: tuple[Any, ...], deadline: float) -> None:
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError(errno.ETIMEDOUT, "timed out while connecting")
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    # Linux connects a socket to itself on an ephemeral port that no server listens on.
    if sock.getsockname() == sock.getpeername():
        problem = "no server listens there (the connection met itself)"
        raise OSError(errno.ECONNREFUSED, problem)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _address(name: tuple[Any, ...]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
