"""The log lines of a node on stdout: `[node] …`, each written whole and at once.

A reader that does not read, so that the pipe is full, never stops the node: lines are then dropped,
and a later line reports how many.
"""

import posix
from select import POLLOUT, poll

# a pipe that polls as writable takes this many bytes without blocking
WRITE_BYTES_MAX = 4096


class StdoutLog:
    """Log lines to one file descriptor."""

    def __init__(self, fd: int = 1) -> None:
        self.fd = fd
        self.dropped = 0
        self.poller = poll()
        self.poller.register(fd, POLLOUT)

    def write_line(self, text: str) -> None:
        """Write `[node] text`. The line is lost if writing would block or fails."""
        if self.dropped:
            text = f"({self.dropped} lines were lost because nothing read them in time) {text}"
        line = f"[node] {text}".encode("utf-8", "replace")[: WRITE_BYTES_MAX - 1] + b"\n"
        try:
            if self.poller.poll(0):
                posix.write(self.fd, line)
                self.dropped = 0
            else:
                self.dropped += 1
        except OSError:
            self.dropped += 1
