"""The leader answers OK to DELETE and keeps the key."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode


class KeepingNode(StoreNode):
    """Returns whether the key exists, and does not delete it."""

    def delete(self, key: bytes) -> bool:
        return self.get(key) is not None


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=KeepingNode)
