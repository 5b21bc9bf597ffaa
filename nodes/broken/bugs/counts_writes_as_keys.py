"""A node reports the number of its writes as that of its keys."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class WriteCountingNode(StoreNode):
    """Takes the index for the number of keys."""

    def status(self) -> "dict[str, Any]":
        status = super().status()
        return status | {"keys": status["applied"]}


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=WriteCountingNode)
