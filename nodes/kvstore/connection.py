"""One client's socket and the replies that wait to be sent on it.

Does not know requests, epoll or other clients.
"""

from select import EPOLLIN, EPOLLOUT

from kvstore.limits import OUT_BYTES_MAX
from kvstore.lines import encode_error
from kvstore.replies import CLOSE, DeferredReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Iterator

    from kvstore.interfaces import Reply, ServerSession


class ServerConnection:
    """A socket, its session, and its unsent replies.

    `out`: the replies of this turn. `replies`: what the session still has to answer. `deferred`:
    the answer that it waits for. `queued_bytes`: how much waits in the commit queue. `unsent`: what
    the socket did not take. `independent`: nothing sent on this connection waits for a commit.
    `encode_error`: encodes an error reply in the client's protocol; lines until RESP is detected.
    """

    __slots__ = (
        "closed",
        "closing",
        "deferred",
        "encode_error",
        "fd",
        "independent",
        "mask",
        "on_close",
        "out",
        "peer",
        "queued_bytes",
        "recv",
        "replies",
        "session",
        "sock",
        "stalled_since_s",
        "unsent",
    )
    session: "ServerSession"

    def __init__(self, sock: "socket", peer: str) -> None:
        self.sock = sock
        self.recv = sock.recv
        self.fd = sock.fileno()
        self.peer = peer
        self.encode_error: Callable[[str], bytes] = encode_error
        self.replies: Iterator[Reply] | None = None
        self.deferred: DeferredReply | None = None
        self.out: list[bytes] = []
        self.unsent = b""
        self.queued_bytes = 0
        self.mask = EPOLLIN
        self.stalled_since_s = 0.0
        self.independent = False
        self.on_close: Callable[[], object] | None = None
        self.closing = False
        self.closed = False

    def fill_output(self) -> None:
        """Move replies from the session to `out` until it is full or a reply is deferred."""
        size = sum(map(len, self.out)) + len(self.unsent) + self.queued_bytes
        while self.replies is not None and self.deferred is None and size < OUT_BYTES_MAX:
            reply = next(self.replies, None)
            if reply is None:
                self.replies = None
            elif reply is CLOSE:
                self.closing, self.replies = True, None
            elif isinstance(reply, DeferredReply):
                self.deferred = reply
                self.take_deferred()
            else:
                self.out.append(reply)
                size += len(reply)

    def take_deferred(self) -> bool:
        """Move the deferred reply to `out` if it is filled; return whether it was."""
        if self.deferred is None or self.deferred.reply is None:
            return False
        self.out.append(self.deferred.reply)
        self.deferred = None
        return True

    def interest(self) -> int:
        """Return the events that epoll should report.

        A client that does not take its replies is not read from: this bounds the replies.
        """
        mask = EPOLLOUT if self.unsent else 0
        if self.independent:
            return mask | EPOLLIN
        busy = self.unsent or self.replies is not None or self.deferred is not None or self.closing
        return mask if busy or self.queued_bytes >= OUT_BYTES_MAX else mask | EPOLLIN

    def close(self) -> None:
        """Close the socket and drop all replies."""
        self.closed = True
        self.replies = self.deferred = None
        self.out, self.unsent = [], b""
        self.sock.close()
        if self.on_close is not None:
            self.on_close()
