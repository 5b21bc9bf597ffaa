"""Opens the connections of a load beside its event loop.

A node that is paused or slow accepts a connection and sends no greeting; the loop, and with it all
other clients, must not wait for it. What opens at once needs no thread.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable

from kvsim.client.connection import ConnectionFailed
from kvsim.client.stream import StreamClient

THREADS_MAX = 64

# Called in the thread of the event loop, with None when there is no connection.
Deliver = Callable[[socket.socket | None], None]


class ConnectionOpener:
    """Opens each connection within `timeout_s`. The loop polls `fileno` and calls `deliver`."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._asked: queue.SimpleQueue[tuple[StreamClient, Deliver]] = queue.SimpleQueue()
        self._opened: queue.SimpleQueue[tuple[Deliver, socket.socket | None]] = queue.SimpleQueue()
        self._waiting = self._threads = 0
        self._closed = False
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """A descriptor that is readable when a connection is to be delivered."""
        return self._reading

    def open(self, client: StreamClient, deliver: Deliver) -> None:
        """Open a connection in a thread; `deliver` gets it later."""
        self._waiting += 1
        self._asked.put((client, deliver))
        if self._threads < min(self._waiting, THREADS_MAX):
            self._threads += 1
            threading.Thread(target=self._work, name="connections", daemon=True).start()

    def deliver(self) -> None:
        """Deliver what has been opened meanwhile."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reading, 4096)
        with contextlib.suppress(queue.Empty):
            while True:
                deliver, sock = self._opened.get_nowait()
                self._waiting -= 1
                deliver(sock)

    def close(self) -> None:
        """Deliver nothing more. Threads that still wait end with the process."""
        self._closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                _, sock = self._opened.get_nowait()
                if sock is not None:
                    sock.close()

    def _work(self) -> None:
        while not self._closed:
            client, deliver = self._asked.get()
            sock = open_socket(client, self._timeout_s)
            if self._closed and sock is not None:
                sock.close()
                return
            self._opened.put((deliver, sock))
            # A full pipe is readable already.
            with contextlib.suppress(BlockingIOError):
                os.write(self._writing, b".")


def open_socket(client: StreamClient, timeout_s: float) -> socket.socket | None:
    """A connection after greeting and handshake; None when there is none in time."""
    try:
        return client.open_socket(time.monotonic() + timeout_s)
    except ConnectionFailed:
        return None
