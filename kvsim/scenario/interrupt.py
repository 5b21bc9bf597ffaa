"""Ctrl-C, once: stop in order and still write the run. Twice: stop everything now. SIGTERM and SIGHUP count as Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user wants the run to end. Not an Exception, so that no handler of errors swallows it."""


@dataclass
class Interrupts:
    """How often the user asked, and what is done the second time."""

    count: int = 0
    stopping: bool = False  # already: the first interrupt has nothing to add then
    kill_all: Callable[[], None] = lambda: None

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1 and self.stopping:
            return
        if self.count == 1:
            raise Interrupted
        self.kill_all()
        os._exit(128 + number)


@contextlib.contextmanager
def orderly_interrupts() -> Iterator[Interrupts]:
    """While inside, interrupts raise Interrupted once in the main thread."""
    interrupts = Interrupts()
    before = {number: signal.signal(number, interrupts.handle) for number in SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
