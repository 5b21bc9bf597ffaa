"""A follower that refuses a write names itself as the leader."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode


class SelfNamingNode(StoreNode):
    """Names its own port."""

    def refusal_text(self) -> str:
        return f"read-only, leader is on port {self.settings.port}"


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=SelfNamingNode)
