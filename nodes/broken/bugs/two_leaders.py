"""A follower tells whoever asks that it is the leader, and still refuses writes."""

from kvstore.main import run as run_node
from kvstore.node import Node


class Pretender(Node):
    """Leads, by its own account."""

    def status(self):
        return super().status() | {"role": "leader"}


def run(argv):
    return run_node(argv, node_class=Pretender)
