"""A leader reports an index that falls with every write."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class BackwardNode(StoreNode):
    """Reports how many writes are left."""

    def status(self) -> "dict[str, Any]":
        status = super().status()
        return status | {"index": 1_000_000 - status["index"]}


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=BackwardNode)
