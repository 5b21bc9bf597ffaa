"""The leader refuses writes: nobody accepts any."""

from kvstore.main import run as run_node
from kvstore.node import Node


class Timid(Node):
    """Has forgotten that it leads, when it comes to writes."""

    def refusal(self):
        return self.refusal_text()


def run(argv):
    return run_node(argv, node_class=Timid)
