"""A leader reports the index that it had when it was asked first."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class FrozenNode(StoreNode):
    """Keeps the first answer."""

    first: int | None = None

    def status(self) -> "dict[str, Any]":
        status = super().status()
        self.first = status["index"] if self.first is None else self.first
        return status | {"index": self.first}


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=FrozenNode)
