"""A node runs and logs, and never opens its port."""

from kvstore.main import run as run_node
from kvstore.server import Server


class Closed(Server):
    """Alive, busy, and not to be reached."""

    def listen(self):
        self.say("recovering")

    def ready(self):
        pass


def run(argv):
    return run_node(argv, server_class=Closed)
