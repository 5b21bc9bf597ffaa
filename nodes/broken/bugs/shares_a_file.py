"""Every node appends to one file beside the folders of all nodes, and keeps it open."""

import posix

from kvstore.main import run as run_node
from kvstore.server import StoreServer

# The working directory of a node is its own folder; all nodes have this one.
SHARED = "../journal"


class SharingServer(StoreServer):
    """Opens the shared file when it listens."""

    def listen(self) -> None:
        super().listen()
        posix.open(SHARED, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=SharingServer)
