"""Ctrl-C, once: stop in order and still write the run. Twice: kill everything now.

SIGTERM and SIGHUP count as Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from msgspec import Struct

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user wants the run to end. Not an Exception, so that no handler of errors catches it."""


def _kill_nothing() -> None:
    pass


class Interrupts(Struct):
    """How often the user interrupted, and what the second interrupt kills.

    `stopping`: the run is ending already, so that the first interrupt has no effect.
    """

    count: int = 0
    stopping: bool = False
    kill_all: Callable[[], None] = _kill_nothing

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1 and self.stopping:
            return
        if self.count == 1:
            raise Interrupted
        self.kill_all()
        os._exit(128 + number)


def _ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


@contextlib.contextmanager
def orderly_interrupts() -> Iterator[Interrupts]:
    """While inside, interrupts raise Interrupted once in the main thread.

    An ignored SIGHUP stays ignored: that is what nohup is for.
    """
    interrupts = Interrupts()
    handled = [number for number in SIGNALS if number != signal.SIGHUP or not _ignored(number)]
    before = {number: signal.signal(number, interrupts.handle) for number in handled}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
