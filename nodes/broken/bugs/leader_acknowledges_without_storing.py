"""The leader answers OK to PUT and stores nothing."""

from kvstore.main import run as run_node
from kvstore.node import Node


class Forgetful(Node):
    """Nods."""

    def put(self, key, value):
        pass


def run(argv):
    return run_node(argv, node_class=Forgetful)
