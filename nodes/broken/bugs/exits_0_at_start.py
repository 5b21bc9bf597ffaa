"""A node logs that it starts and ends with status 0, like a program that daemonizes."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class ExitingServer(StoreServer):
    """Ends with status 0 before it opens its port."""

    def listen(self) -> None:
        raise SystemExit(0)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=ExitingServer)
