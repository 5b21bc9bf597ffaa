"""A node listens on a port for its statistics that nobody gave it."""

from _socket import AF_INET, SOCK_STREAM, socket

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class TalkativeServer(StoreServer):
    """Opens a port that the kernel chooses."""

    statistics: socket

    def listen(self) -> None:
        super().listen()
        self.statistics = socket(AF_INET, SOCK_STREAM)
        self.statistics.bind(("127.0.0.1", 0))
        self.statistics.listen(8)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=TalkativeServer)
