"""A node serves forty clients at once, and refuses all others."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer

CLIENTS_MAX = 40


class SmallServer(StoreServer):
    """Has a small table of connections."""

    def connection_limit(self) -> int:
        return CLIENTS_MAX


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=SmallServer)
