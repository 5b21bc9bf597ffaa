"""A pseudo-terminal as a log: programs that hold lines back in a buffer do not when they write to one.

What arrives is copied into the log by a process of its own (`cat`), so that kvsim being busy never blocks a
node, and a node of `up` may run on without kvsim. It ends by itself when the last writer is gone.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

from kvsim.process.child import Child, take_over

OUTPUT_FLAGS, LOCAL_FLAGS = 1, 3  # places in what tcgetattr returns


@contextlib.contextmanager
def opened() -> Iterator[tuple[int, int]]:
    """The reading and the writing end; line ends stay as written and nothing is echoed."""
    reading, writing = pty.openpty()
    try:
        mode = termios.tcgetattr(writing)
        mode[OUTPUT_FLAGS] &= ~termios.OPOST
        mode[LOCAL_FLAGS] &= ~termios.ECHO
        termios.tcsetattr(writing, termios.TCSANOW, mode)
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def drain(reading: int, log: Path) -> Child:
    """Start copying from `reading` to the end of `log`."""
    with log.open("ab", buffering=0) as file:
        popen = subprocess.Popen(
            ["cat"],
            stdin=reading,
            stdout=file,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )
    return take_over(popen, ("cat",), log)
