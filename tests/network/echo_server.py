"""An echo server, and what a client of it observes: for the tests of proxies and of namespaces."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

WAITS_S = 5.0


@dataclass
class EchoServer:
    """A server that sends back all bytes that it receives, with a thread for each connection."""

    listener: socket.socket
    threads: list[threading.Thread] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._spawn(self._accept)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        self.threads.append(threading.Thread(target=target, args=args))
        self.threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._spawn(self._serve, self.listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(WAITS_S)
        self.connections.append(connection)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            # A client whose reset was lost on a broken link would be waited for.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(2 * WAITS_S)


def echo(sock: socket.socket, data: bytes) -> bytes:
    """Send the bytes, and receive as many."""
    sock.sendall(data)
    received = b""
    while len(received) < len(data) and (chunk := sock.recv(65536)):
        received += chunk
    return received


def is_reset(sock: socket.socket, send: bytes = b"") -> bool:
    """Whether the connection has ended. `send`: bytes to send first, to which a reset replies."""
    try:
        sock.sendall(send)
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def is_silent(sock: socket.socket) -> bool:
    """Whether no byte arrives for 0.1 s."""
    sock.settimeout(0.1)
    try:
        return not sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(WAITS_S)
