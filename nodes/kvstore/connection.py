"""One client's socket and what waits to be sent to it. Knows nothing of requests, epoll or other clients."""

OUT_BYTES_MAX = 1 << 20  # replies held for one client before its requests are left waiting


class Connection:
    """A socket, its session, and its unsent replies."""

    __slots__ = ("closed", "fd", "out", "out_bytes", "peer", "replies", "session", "sock", "stalled_since_s")

    def __init__(self, sock, peer):
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.session = None
        self.replies = None
        self.out = []
        self.out_bytes = 0
        self.stalled_since_s = 0.0
        self.closed = False

    def pump(self):
        """Move replies from the session to the output until it is full; return whether there is something to
        send.
        """
        if self.replies is None:
            return bool(self.out)
        while self.out_bytes < OUT_BYTES_MAX:
            reply = next(self.replies, None)
            if reply is None:
                self.replies = None
                break
            self.out.append(reply)
            self.out_bytes += len(reply)
        return bool(self.out)

    def send(self):
        """Send what waits, in one call; return whether all of it went. Raises OSError (BlockingIOError:
        nothing went).
        """
        data = self.out[0] if len(self.out) == 1 else b"".join(self.out)
        self.out = [data]
        sent = self.sock.send(data) if data else 0
        if sent == len(data):
            self.out = []
            self.out_bytes = 0
            return True
        self.out = [data[sent:]]
        self.out_bytes = len(data) - sent
        return False

    def close(self):
        """Close the socket and let everything go."""
        self.closed = True
        self.replies = None
        self.out = []
        self.sock.close()
