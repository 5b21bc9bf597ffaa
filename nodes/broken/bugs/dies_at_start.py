"""A node says that it starts, and ends with status 1 before it serves."""

from kvstore.main import run as run_node
from kvstore.server import Server


class Stillborn(Server):
    """Never gets to its port."""

    def listen(self):
        self.say("fatal: cannot read the configuration")
        raise SystemExit(1)


def run(argv):
    return run_node(argv, server_class=Stillborn)
