"""A node leaves a child behind that holds its port and has its own session."""

import posix
from time import sleep

from kvstore.main import run as run_node
from kvstore.server import StoreServer

CHILD_LIFE_S = 60


class ForkingServer(StoreServer):
    """Forks a child that inherits the listening socket and outlives the node."""

    def listen(self) -> None:
        super().listen()
        if posix.fork() == 0:
            posix.setsid()
            sleep(CHILD_LIFE_S)
            posix._exit(0)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=ForkingServer)
