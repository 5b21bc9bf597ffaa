"""A node says that it starts and ends at once with status 0, as a program does that put itself into the background."""

from kvstore.main import run as run_node
from kvstore.server import Server


class Brief(Server):
    """All is well, it says by its status."""

    def listen(self):
        raise SystemExit(0)


def run(argv):
    return run_node(argv, server_class=Brief)
