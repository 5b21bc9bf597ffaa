"""A node logs that it starts, and ends with status 1 before it serves."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class FailingStartServer(StoreServer):
    """Ends before it opens its port."""

    def listen(self) -> None:
        self.log_line("fatal: cannot read the configuration")
        raise SystemExit(1)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=FailingStartServer)
