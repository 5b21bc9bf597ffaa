"""A node runs and logs, and never opens its port."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class PortlessServer(StoreServer):
    """Does not listen."""

    def listen(self) -> None:
        self.log_line("recovering")

    def log_ready(self) -> None:
        pass


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=PortlessServer)
