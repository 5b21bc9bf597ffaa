"""A follower that refuses a write names itself as the leader."""

from kvstore.main import run as run_node
from kvstore.node import Node


class WrongWay(Node):
    """Sends clients round in a circle."""

    def refusal_text(self):
        return f"read-only, leader is on port {self.settings.port}"


def run(argv):
    return run_node(argv, node_class=WrongWay)
