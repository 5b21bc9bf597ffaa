"""A node logs SIGTERM and does not stop."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class UnstoppableServer(StoreServer):
    """Continues after any signal."""

    def on_signal(self, number: int) -> None:
        self.log_line(f"signal {number} noted")


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=UnstoppableServer)
