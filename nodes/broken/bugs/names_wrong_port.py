"""A follower that refuses a write names the port beside the leader's."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode


class WrongPortNode(StoreNode):
    """Counts one too many."""

    def refusal_text(self) -> str:
        port = self.leader_address[1] if self.leader_address else self.settings.port
        return f"read-only, leader is on port {port + 1}"


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=WrongPortNode)
