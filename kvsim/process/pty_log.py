"""A pseudo-terminal as a log, for programs that buffer their output when it is a file.

A separate process (`cat`) copies the output into the log. So a busy kvsim never blocks a node, and
a node of `up` can run on without kvsim. The copy ends by itself when the last writer has ended.
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

# Indexes in the result of tcgetattr.
OUTPUT_FLAGS, LOCAL_FLAGS = 1, 3


@contextlib.contextmanager
def open_pty() -> Iterator[tuple[int, int]]:
    """The reading and the writing end; it changes no line end and echoes nothing."""
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
