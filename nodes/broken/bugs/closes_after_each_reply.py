"""A node closes the connection after every reply."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.connection import ServerConnection


class ClosingServer(StoreServer):
    """Drops a connection once its replies are sent."""

    def flush(self, connection: "ServerConnection") -> None:
        super().flush(connection)
        self.drop(connection)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=ClosingServer)
