"""The leader refuses one write in two hundred, although nothing is wrong."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

EVERY = 200


class MoodyNode(StoreNode):
    """Counts the writes that it was asked for."""

    asked = 0

    def refusal(self) -> str | None:
        refused = super().refusal()
        self.asked += refused is None
        return "busy" if refused is None and self.asked % EVERY == 0 else refused


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=MoodyNode)
