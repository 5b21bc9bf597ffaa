"""A node never closes the socket of a client that has gone."""

import posix

from kvstore.connection import ServerConnection
from kvstore.main import run as run_node
from kvstore.server import StoreServer


class HoardingServer(StoreServer):
    """Keeps a second descriptor of every connection."""

    def add(self, connection: ServerConnection) -> None:
        super().add(connection)
        posix.dup(connection.fd)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=HoardingServer)
