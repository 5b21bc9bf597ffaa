"""The leader refuses every write after its 300th, as one that ran out of something does."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

WRITES_MAX = 300


class TiredNode(StoreNode):
    """Counts the writes that it was asked for."""

    asked = 0

    def refusal(self) -> str | None:
        refused = super().refusal()
        self.asked += refused is None
        return "busy" if refused is None and self.asked > WRITES_MAX else refused


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=TiredNode)
