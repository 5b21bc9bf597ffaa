"""The process of the link proxies of a cluster that is up: as `__main__.py`, but it takes its orders by a unix socket and stays.

Until it is told to `stay` it ends with its input, so a command that is killed on the way leaves nothing behind. Afterwards it ends at
SIGTERM, or when its socket is gone from the folder: nobody could speak to it any more. `standing.py` is the other side.
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

from kvsim.faults.links.carried import DO, pump_of
from kvsim.faults.links.orders import Orders, say
from kvsim.faults.links.pump import Pump
from kvsim.process.resident import short

LOOK_S = 2.0  # between two looks at the socket's place
ANSWER_S = 1.0  # for whoever asked to take the answer


class Desk:
    """Everything but the links that this process listens to, behind one file: its input, its socket, its callers, its signals."""

    def __init__(self, pump: Pump, orders: Orders, path: Path) -> None:
        self.over = False
        self._pump, self._path = pump, path
        self._poll = select.epoll()
        self._acts: dict[int, Callable[[], None]] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        with short(path) as name:
            self._listener.bind(name)
        self._place = path.stat().st_ino
        self._listener.listen()
        self._hear(self._listener.fileno(), self._admit)
        self._hear(sys.stdin.fileno(), lambda: self._told(orders))
        self._signals, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
        self._hear(self._signals, self._signalled)

    def fileno(self) -> int:
        return self._poll.fileno()

    def serve(self) -> None:
        """Deal with everybody who has something to say."""
        for fd, _ in self._poll.poll(0):
            if fd in self._acts:
                self._acts[fd]()

    def leave(self) -> None:
        """Take the socket away, if it still is this one."""
        if self._is_there():
            self._path.unlink()

    def _hear(self, fd: int, act: Callable[[], None]) -> None:
        self._acts[fd] = act
        self._poll.register(fd, select.EPOLLIN)

    def _hear_no_more(self, fd: int) -> None:
        self._poll.unregister(fd)
        del self._acts[fd]

    def _told(self, orders: Orders) -> None:
        """On the input: to stay, or that it is over."""
        stays = "stay" in orders.lines()
        self.over = orders.over and not stays
        if stays:
            self._hear_no_more(sys.stdin.fileno())

    def _signalled(self) -> None:
        numbers = os.read(self._signals, 4096)
        self.over = self.over or signal.SIGTERM in numbers or not self._is_there()

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_ino == self._place
        except OSError:
            return False

    def _admit(self) -> None:
        caller, _ = self._listener.accept()
        caller.settimeout(ANSWER_S)
        orders = Orders(caller.fileno())
        self._hear(caller.fileno(), lambda: self._answer(caller, orders))

    def _answer(self, caller: socket.socket, orders: Orders) -> None:
        with contextlib.suppress(
            OSError, ValueError, KeyError, TypeError
        ):  # whoever talks nonsense is hung up on
            for order in orders.lines():
                done = DO[order["do"]](self._pump, order)
                caller.sendall(json.dumps([order["number"], done]).encode() + b"\n")
            if not orders.over:
                return
        self._hear_no_more(caller.fileno())
        caller.close()


def main(path: Path) -> int:
    orders = Orders(sys.stdin.fileno())
    plan = orders.first()
    if plan is None:
        return 0
    pump = pump_of(plan)
    desk = Desk(pump, orders, path)
    try:
        pump.watch(desk.fileno(), desk.serve)
        with contextlib.suppress(
            BrokenPipeError
        ):  # whoever started it has gone already, which its input says as well
            say(plan, "ready")
        while not desk.over:
            pump.turn()
    finally:
        desk.leave()
        pump.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
