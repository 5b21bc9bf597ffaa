"""The leader refuses writes, so no node accepts any."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode


class RefusingNode(StoreNode):
    """Refuses writes in both roles."""

    def refusal(self) -> str | None:
        return self.refusal_text()


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=RefusingNode)
