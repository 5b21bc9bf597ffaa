"""One client's socket and what waits to be sent to it. Knows nothing of requests, epoll or other clients."""

from select import EPOLLIN, EPOLLOUT

from kvstore.limits import OUT_BYTES_MAX
from kvstore.replies import CLOSE, Later


class Connection:
    """A socket, its session, and its unsent replies.

    `replies` is the rest of what the session has to answer, `later` the answer it waits for, `out` what was answered in
    this turn, `held_bytes` what waits until enough nodes have it (see holds.py), `sending` what the socket did not take.
    """

    __slots__ = (
        "closed",
        "closing",
        "fd",
        "free",
        "held_bytes",
        "later",
        "mask",
        "on_close",
        "out",
        "peer",
        "recv",
        "replies",
        "sending",
        "session",
        "sock",
        "stalled_since_s",
    )

    def __init__(self, sock, peer):
        self.sock = sock
        self.recv = sock.recv
        self.fd = sock.fileno()
        self.peer = peer
        self.session = None
        self.replies = None
        self.later = None
        self.out = []
        self.sending = b""
        self.held_bytes = 0
        self.mask = EPOLLIN
        self.stalled_since_s = 0.0
        self.free = False  # nothing this connection is sent waits for a commit
        self.on_close = None
        self.closing = False
        self.closed = False

    def pump(self):
        """Move replies from the session to the output until it is full or has to wait for one."""
        size = sum(map(len, self.out)) + len(self.sending) + self.held_bytes
        while self.replies is not None and self.later is None and size < OUT_BYTES_MAX:
            reply = next(self.replies, None)
            if reply is None:
                self.replies = None
            elif reply is CLOSE:
                self.closing, self.replies = True, None
            elif isinstance(reply, Later):
                self.later = reply
                self.take_later()
            else:
                self.out.append(reply)
                size += len(reply)

    def take_later(self):
        """Move the awaited reply to the output once it is there; return whether it was."""
        if self.later is None or self.later.reply is None:
            return False
        self.out.append(self.later.reply)
        self.later = None
        return True

    def wanted(self):
        """Return what epoll should tell: requests only while the client takes its replies, which bounds them."""
        mask = EPOLLOUT if self.sending else 0
        if self.free:
            return mask | EPOLLIN
        quiet = not self.sending and self.replies is None and self.later is None and not self.closing
        return mask | EPOLLIN if quiet and self.held_bytes < OUT_BYTES_MAX else mask

    def close(self):
        """Close the socket and let everything go."""
        self.closed = True
        self.replies = self.later = None
        self.out, self.sending = [], b""
        self.sock.close()
        if self.on_close is not None:
            self.on_close()
