"""The line at a terminal that says what a command waits for, once nothing was printed for a second.

Every command has one. `waiting_for` says what is waited for; without it, the line has the command's
summary. Before anything else is printed, and at the end, the line is removed. Elsewhere than at a
terminal nothing is printed.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator

from msgspec import Struct, field

from kvsim.cli.output import is_terminal
from kvsim.cli.streams import SafeStream
from kvsim.text import escape

QUIET_S = 1.0
REMOVE = "\r\x1b[2K"
WIDTH_MIN = 20


class Wait(Struct):
    """Something that is waited for, and since when."""

    text: str
    since_s: float = field(default_factory=time.monotonic)


# What is waited for now; the innermost last.
WAITS: list[Wait] = []


@contextlib.contextmanager
def waiting_for(text: str) -> Iterator[Wait]:
    """Within the block the command waits for this. The text of the result may be changed."""
    wait = Wait(text)
    WAITS.append(wait)
    try:
        yield wait
    finally:
        WAITS.remove(wait)


@contextlib.contextmanager
def waiting_line(text: str) -> Iterator[None]:
    """Draw the line when it is due, for one command. `text`: what it says without `waiting_for`."""
    out, err = sys.stdout, sys.stderr
    to_terminal = is_terminal(err)
    if not (to_terminal and isinstance(out, SafeStream) and isinstance(err, SafeStream)):
        yield
        return
    line = _Line(err, (out, out.trusted, err, err.trusted))
    with waiting_for(text), line.drawn():
        yield


class _Line:
    """The line, drawn by a thread, removed by whatever writes to one of the streams."""

    def __init__(self, target: SafeStream, streams: tuple[SafeStream, ...]) -> None:
        self._target = target
        self._streams = streams
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._is_drawn = False
        self._last_write_s = time.monotonic()

    @contextlib.contextmanager
    def drawn(self) -> Iterator[None]:
        for stream in self._streams:
            stream.before_write = self._make_room
        thread = threading.Thread(target=self._keep_drawing, name="waiting line", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self._make_room()
            for stream in self._streams:
                stream.before_write = None

    def _make_room(self) -> None:
        with self._lock:
            self._last_write_s = time.monotonic()
            if self._is_drawn:
                self._is_drawn = False
                self._target.write_raw(REMOVE)

    def _keep_drawing(self) -> None:
        while not self._over.wait(QUIET_S / 4):
            with self._lock:
                quiet = time.monotonic() - self._last_write_s >= QUIET_S
                # A line that is not yet over belongs to whoever prints it.
                if quiet and WAITS and all(stream.at_line_begin for stream in self._streams):
                    self._is_drawn = True
                    self._target.write_raw(REMOVE + line_of(WAITS[-1], time.monotonic()))


def line_of(wait: Wait, now_s: float, width: int | None = None) -> str:
    """`every node is ready … 3 s`, not wider than the terminal."""
    took = f" … {now_s - wait.since_s:.0f} s"
    width = max(WIDTH_MIN, width or shutil.get_terminal_size().columns) - 1
    text = escape(wait.text.replace("\n", " "))
    room = width - len(took)
    return (text if len(text) <= room else text[: room - 1] + "…") + took
