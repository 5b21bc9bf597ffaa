"""A follower reports in STATUS that it is the leader, and still refuses writes."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PretendingNode(StoreNode):
    """Reports the role leader."""

    def status(self) -> "dict[str, Any]":
        return super().status() | {"role": "leader"}


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=PretendingNode)
