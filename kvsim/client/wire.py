"""One TCP connection that never blocks past a deadline. The only file of the stream protocols that touches a
socket.

Knows bytes and deadlines (`time.monotonic()` seconds); knows nothing of requests, replies or outcomes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time

CHUNK_BYTES = 65536
_NO_LINGER = struct.pack("ii", 1, 0)
UNASKED_BYTES_MAX = 65536  # of a flood nobody asked for, this much is kept


class Broken(Exception):
    """The connection failed; `failure` is one of Exchange.failure's words. Never leaves kvsim/client."""

    def __init__(self, failure: str, problem: str) -> None:
        self.failure, self.problem = failure, problem
        super().__init__(problem)


class Wire:
    """A connected, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._writing = False
        self.name = f"{_address(sock.getsockname())} -> {_address(sock.getpeername())}"

    def detached(self) -> socket.socket:
        """The socket itself, non-blocking, for the caller to wait on and to close."""
        return self._sock

    def send_some(self, data: memoryview) -> int:
        """Send what the kernel takes now; 0 when it takes nothing. Raises Broken."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise Broken("reset", f"the connection broke while sending: {error.strerror}") from None

    def wait(self, deadline: float, *, writing: bool) -> bool:
        """Wait for bytes, an end, or (when `writing`) room to send. True: something to receive. Raises Broken
        `timeout`.
        """
        if writing is not self._writing:
            self._writing = writing
            self._poll.modify(self._sock, select.POLLIN | (select.POLLOUT if writing else 0))
        events = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not events:
            raise Broken("timeout", "no whole reply in time")
        return bool(events[0][1] & ~select.POLLOUT)

    def receive(self) -> bytes:
        """What has arrived; b"" at the end. Call after `wait` said so. Raises Broken."""
        try:
            return self._sock.recv(CHUNK_BYTES)
        except OSError as error:
            raise Broken(
                "reset", f"the connection broke while waiting for the reply: {error.strerror}"
            ) from None

    def unasked(self) -> tuple[bytes, bool]:
        """Bytes that arrived with no request waiting, and whether the peer has gone. Does not wait; a flood
        is cut.
        """
        got = bytearray()
        while len(got) < UNASKED_BYTES_MAX:
            try:
                chunk = self._sock.recv(CHUNK_BYTES)
            except BlockingIOError:
                return bytes(got), False
            except OSError:
                return bytes(got), True
            if not chunk:
                return bytes(got), True
            got += chunk
        return bytes(got[:UNASKED_BYTES_MAX]), False

    def linger(self, seconds: float) -> tuple[bytes, bool]:
        """`unasked`, after waiting for the first of it at most `seconds`."""
        with contextlib.suppress(Broken):
            self.wait(time.monotonic() + seconds, writing=False)
        return self.unasked()

    def close(self, *, gone: bool = False) -> None:
        """Close. When the peer has `gone`, with a reset: its port is then free at once for a restart,
        whatever it set.
        """
        if gone:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._sock.close()


def dial(host: str, port: int, deadline: float) -> Wire:
    """Connect. Raises Broken `unreachable`: nothing was sent."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Broken("unreachable", f"cannot resolve {host}: {error}") from None
    problem = "no address"
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            _connect(sock, address, deadline)
            return Wire(sock)
        except OSError as error:
            sock.close()
            problem = error.strerror or str(error)
    raise Broken("unreachable", f"cannot connect to {host}:{port}: {problem}")


def _connect(sock: socket.socket, address: tuple[str, int], deadline: float) -> None:
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError(errno.ETIMEDOUT, "timed out while connecting")
    failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failed:
        raise OSError(failed, os.strerror(failed))
    if sock.getsockname() == sock.getpeername():  # Linux does this on an ephemeral port where nobody listens
        raise OSError(errno.ECONNREFUSED, "nobody listens there (the connection met itself)")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _address(name: tuple[str, int]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
