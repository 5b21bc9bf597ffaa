"""Non-blocking connections from this node to others. Does not know what is sent on them."""

from _socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, socket
from errno import EINPROGRESS
from posix import strerror
from select import EPOLLIN, EPOLLOUT

from kvstore.connection import ServerConnection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvstore.interfaces import Address, ServerSession
    from kvstore.server import StoreServer

REPLY_BYTES_MAX = 4096


def connect(
    server: "StoreServer", address: "Address", session: "ServerSession", first: bytes
) -> ServerConnection:
    """Begin to connect, and send `first` once connected; return the connection.

    A later failure drops the connection. Raises OSError for a failure at once.
    """
    host, port = address
    sock = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        number = sock.connect_ex((host, port))
        if number not in (0, EINPROGRESS):
            raise OSError(number, strerror(number))
    except OSError:
        sock.close()
        raise
    connection = ServerConnection(sock, f"{host}:{port}")
    connection.session = session
    connection.independent = True
    connection.unsent = first
    connection.mask = EPOLLIN | EPOLLOUT
    server.add(connection)
    return connection


class PeerRequest:
    """One line sent to another node, and its reply.

    `on_reply(text)` is called once, with None if no reply came within the timeout.
    """

    def __init__(
        self,
        server: "StoreServer",
        address: "Address",
        line: str,
        timeout_s: float,
        on_reply: "Callable[[str | None], object]",
    ) -> None:
        self.on_reply: Callable[[str | None], object] | None = on_reply
        self.server = server
        self.connection: ServerConnection | None = None
        self.buffered = b""
        server.timers.after(timeout_s, self.fail)
        try:
            self.connection = connect(server, address, self, line.encode() + b"\n")
            self.connection.on_close = self.fail
        except OSError:
            server.timers.after(0, self.fail)

    def feed(self, data: bytes) -> bytes:
        """Read the reply; it is one line."""
        self.buffered += data
        if b"\n" in self.buffered or len(self.buffered) > REPLY_BYTES_MAX:
            self.finish(self.buffered.split(b"\n")[0].decode("utf-8", "replace"))
        return b""

    def fail(self) -> None:
        """Finish without a reply."""
        self.finish(None)

    def finish(self, reply: str | None) -> None:
        """Call `on_reply`, once, and close the connection."""
        on_reply, self.on_reply = self.on_reply, None
        if on_reply is not None:
            if self.connection is not None:
                self.server.drop(self.connection)
            on_reply(reply)
