"""A node counts deleted keys in its STATUS, too."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CountingNode(StoreNode):
    """Counts every delete that found its key."""

    deleted = 0

    def delete(self, key: bytes) -> bool:
        found = super().delete(key)
        self.deleted += found
        return found

    def status(self) -> "dict[str, Any]":
        status = super().status()
        return status | {"keys": status["keys"] + self.deleted}


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=CountingNode)
