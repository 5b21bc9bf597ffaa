"""Every node logs at its start that it is the leader."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class WrongRoleServer(StoreServer):
    """Logs LEADER in both roles."""

    def log_start(self) -> None:
        self.log_line(f"starting as LEADER on port {self.settings.port}")


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=WrongRoleServer)
