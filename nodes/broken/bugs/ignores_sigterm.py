"""A node takes note of SIGTERM and goes on."""

from kvstore.main import run as run_node
from kvstore.server import Server


class Stubborn(Server):
    """Will not stop for being asked."""

    def on_signal(self, number):
        self.say(f"signal {number} noted")


def run(argv):
    return run_node(argv, server_class=Stubborn)
