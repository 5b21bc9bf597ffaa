"""The leader answers OK to DELETE and keeps the key."""

from kvstore.main import run as run_node
from kvstore.node import Node


class Hoarder(Node):
    """Says that the key was there, which is true, and still is."""

    def delete(self, key):
        return self.get(key) is not None


def run(argv):
    return run_node(argv, node_class=Hoarder)
