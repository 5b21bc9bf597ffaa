"""Every node logs at its start that it is the leader, whatever its role."""

from kvstore.main import run as run_node
from kvstore.server import Server


class Boaster(Server):
    """Starts as LEADER, it says."""

    def starting(self):
        self.say(f"starting as LEADER on port {self.settings.port}")


def run(argv):
    return run_node(argv, server_class=Boaster)
