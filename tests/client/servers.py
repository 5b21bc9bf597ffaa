"""Small hostile servers on loopback: real sockets, each served by one thread."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(behaviour: Behaviour) -> Iterator[int]:
    """The port of a server that calls `behaviour` for each connection in turn, then closes it."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()
    open_now: list[socket.socket] = []

    def serve() -> None:
        while not stopping.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                open_now.append(connection)
                with connection, contextlib.suppress(OSError):
                    behaviour(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopping.set()
        for sock in (listener, *open_now):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        for sock in (listener, *open_now):
            sock.close()
        assert not thread.is_alive()


def unused_port() -> int:
    """A port on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def lines_of(connection: socket.socket) -> Iterator[bytes]:
    """Request lines, until the client closes the connection."""
    with connection.makefile("rb") as file:
        yield from file


def answering(reply: Callable[[bytes], bytes]) -> Behaviour:
    """Answer each request line with `reply(line)`."""

    def behave(connection: socket.socket) -> None:
        for line in lines_of(connection):
            connection.sendall(reply(line))

    return behave


def reset(connection: socket.socket) -> None:
    """Close so that the peer gets a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
