"""A follower passes PUT on to the leader and answers OK, as if it were the leader."""

from _socket import AF_INET, SOCK_STREAM, socket

from kvstore.session import LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Writes through the leader."""

    def do_put(self, key, value):
        if self.node.leads:
            return super().do_put(key, value)
        return ask(self.node.leader, b"PUT %b %b\n" % (key, value))


def ask(address, line):
    """Return the first bytes of the reply to one request."""
    connection = socket(AF_INET, SOCK_STREAM)
    connection.settimeout(0.5)
    try:
        connection.connect(address)
        connection.sendall(line)
        return connection.recv(4096)
    finally:
        connection.close()


def run(argv):
    return run_with_session(argv, Session)
