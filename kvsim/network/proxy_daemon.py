"""The process of the link proxies of a cluster that is up. It outlives the command that started it.

As `proxy_worker`, but it takes requests on a unix socket, the control socket. Until it receives
`stay`, it ends when its standard input ends, so that a command that is killed leaves nothing
behind. Afterwards it ends at SIGTERM, or when its control socket is no longer in its folder: no
command could reach it any more. The other side is `proxy_handle`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from kvsim.network.proxy import Proxy
from kvsim.network.proxy_worker import ACTIONS, start_proxy
from kvsim.process.worker import WorkerRequests, send_reply, short_socket_path

# How often it checks that the control socket is still there.
CHECK_EVERY_S = 2.0

# How long a client may take to accept a reply.
REPLY_WITHIN_S = 1.0


class ControlServer:
    """Input, control socket, its clients and signals: all that this process serves besides links.

    One epoll descriptor stands for all of them, for the proxy's event loop to watch.
    """

    def __init__(self, proxy: Proxy, stdin: WorkerRequests, path: Path) -> None:
        """Listen at `path`. Raises OSError."""
        self.over = False
        self._proxy, self._path = proxy, path
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        # Only the user that runs kvsim may use it.
        before = os.umask(0o177)
        try:
            with short_socket_path(path) as name:
                self._listener.bind(name)
        finally:
            os.umask(before)
        self._inode = path.stat().st_ino
        self._listener.listen()
        self._register(self._listener.fileno(), self._accept)
        self._register(sys.stdin.fileno(), lambda: self._read_stdin(stdin))
        self._signals, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, CHECK_EVERY_S, CHECK_EVERY_S)
        self._register(self._signals, self._read_signals)

    def fileno(self) -> int:
        return self._poll.fileno()

    def serve(self) -> None:
        """Handle everything that is readable now."""
        for fd, _ in self._poll.poll(0):
            if fd in self._handlers:
                self._handlers[fd]()

    def close(self) -> None:
        """Remove the control socket, if the file is still its own."""
        if self._socket_exists():
            self._path.unlink()

    def _register(self, fd: int, handler: Callable[[], None]) -> None:
        self._handlers[fd] = handler
        self._poll.register(fd, select.EPOLLIN)

    def _unregister(self, fd: int) -> None:
        self._poll.unregister(fd)
        del self._handlers[fd]

    def _read_stdin(self, requests: WorkerRequests) -> None:
        """The parent has sent `stay`, or closed its end of the pipe."""
        stays = "stay" in requests.read()
        self.over = requests.closed and not stays
        if stays:
            self._unregister(sys.stdin.fileno())

    def _read_signals(self) -> None:
        numbers = os.read(self._signals, 4096)
        self.over = self.over or signal.SIGTERM in numbers or not self._socket_exists()

    def _socket_exists(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.settimeout(REPLY_WITHIN_S)
        requests = WorkerRequests(client.fileno())
        self._register(client.fileno(), lambda: self._answer(client, requests))

    def _answer(self, client: socket.socket, requests: WorkerRequests) -> None:
        # A client that sends a malformed request is disconnected.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for request in requests.read():
                reply = ACTIONS[request["do"]](self._proxy, request)
                client.sendall(json.dumps([request["number"], reply]).encode() + b"\n")
            if not requests.closed:
                return
        self._unregister(client.fileno())
        client.close()


def main(path: Path) -> int:
    requests = WorkerRequests(sys.stdin.fileno())
    first = requests.first()
    if first is None:
        return 0
    proxy = start_proxy(first)
    control = ControlServer(proxy, requests, path)
    try:
        proxy.watch(control.fileno(), control.serve)
        # When the parent has ended already, the end of standard input shows it, too.
        with contextlib.suppress(BrokenPipeError):
            send_reply(first, "ready")
        while not control.over:
            proxy.run_once()
    finally:
        control.close()
        proxy.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
