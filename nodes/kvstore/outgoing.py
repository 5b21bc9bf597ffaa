"""Connections that this node opens to others, without waiting. Knows sockets; knows nothing of what is said on them."""

from _socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, socket
from errno import EINPROGRESS
from posix import strerror
from select import EPOLLIN, EPOLLOUT

from kvstore.connection import Connection

REPLY_BYTES_MAX = 4096


def dial(server, address, session, first):
    """Begin to connect to (host, port) and send `first` when it succeeds; return the connection.

    Failure shows as the connection being dropped. Raises OSError when it fails at once.
    """
    host, port = address
    sock = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        failed = sock.connect_ex((host, port))
        if failed not in (0, EINPROGRESS):
            raise OSError(failed, strerror(failed))
    except OSError:
        sock.close()
        raise
    connection = Connection(sock, f"{host}:{port}")
    connection.session, session.connection = session, connection
    connection.free = True
    connection.sending = first
    connection.mask = EPOLLIN | EPOLLOUT
    server.add(connection)
    return connection


class Call:
    """One line asked of another node; `done(reply)` is called once, with text, or None when no answer came in time."""

    def __init__(self, server, address, line, within_s, done):
        self.done = done
        self.server = server
        self.connection = None
        self.held = b""
        server.timers.after(within_s, self.give_up)
        try:
            dial(server, address, self, line.encode() + b"\n").on_close = self.give_up
        except OSError:
            server.timers.after(0, self.give_up)

    def feed(self, data):
        self.held += data
        if b"\n" in self.held or len(self.held) > REPLY_BYTES_MAX:
            self.finish(self.held.split(b"\n")[0].decode("utf-8", "replace"))
        return b""

    def give_up(self):
        self.finish(None)

    def finish(self, reply):
        """Tell the reply, once, and hang up."""
        done, self.done = self.done, None
        if done is not None:
            if self.connection is not None:
                self.server.drop(self.connection)
            done(reply)
