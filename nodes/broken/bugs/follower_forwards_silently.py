"""A follower forwards PUT to the leader and answers OK, as if it were the leader."""

from _socket import AF_INET, SOCK_STREAM, socket

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class ForwardingSession(LineSession):
    """Sends the write to the leader."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        address = self.node.leader_address
        if self.node.is_leader or address is None:
            return super().do_put(key, value)
        return ask(address, b"PUT %b %b\n" % (key, value))


def ask(address: tuple[str, int], line: bytes) -> bytes:
    """Return the first bytes of the reply to one request. Raises OSError."""
    connection = socket(AF_INET, SOCK_STREAM)
    connection.settimeout(0.5)
    try:
        connection.connect(address)
        connection.sendall(line)
        return connection.recv(4096)
    finally:
        connection.close()


def run(argv: list[str]) -> int:
    return run_with_session(argv, ForwardingSession)
