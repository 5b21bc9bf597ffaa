"""What a node says on stdout: `[node] …` lines, each written whole and at once. Knows nothing of what they mean.

A reader that does not read (a full pipe) never stops the node: lines are dropped then, and their number is
said later.
"""

import posix
from select import POLLOUT, poll

WRITE_BYTES_MAX = 4096  # what a pipe that polls writable takes without blocking


class NodeLog:
    """Lines to one file descriptor."""

    def __init__(self, fd=1):
        self.fd = fd
        self.dropped = 0
        self.poller = poll()
        self.poller.register(fd, POLLOUT)

    def say(self, text):
        """Write one line, `[node] text`; lose it rather than block or fail."""
        if self.dropped:
            text = f"({self.dropped} lines were lost, the reader of this log was too slow) {text}"
        line = f"[node] {text}".encode("utf-8", "replace")[: WRITE_BYTES_MAX - 1] + b"\n"
        try:
            if self.poller.poll(0):
                posix.write(self.fd, line)
                self.dropped = 0
            else:
                self.dropped += 1
        except OSError:
            self.dropped += 1
