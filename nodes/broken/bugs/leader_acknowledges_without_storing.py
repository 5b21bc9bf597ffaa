"""The leader answers OK to PUT and stores nothing."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode


class DiscardingNode(StoreNode):
    """Does nothing on PUT."""

    def put(self, key: bytes, value: bytes) -> None:
        pass


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=DiscardingNode)
