"""A node reports the process id of its parent in its STATUS."""

import posix

from kvstore.main import run as run_node
from kvstore.node import StoreNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class AdoptedNode(StoreNode):
    """Asks for the wrong number."""

    def status(self) -> "dict[str, Any]":
        return super().status() | {"pid": posix.getppid()}


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=AdoptedNode)
