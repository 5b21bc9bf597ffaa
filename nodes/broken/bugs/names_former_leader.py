"""A follower names the leader that it was started with, whoever leads now."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode


class LoyalNode(StoreNode):
    """Remembers its command line."""

    def refusal_text(self) -> str:
        self.leader_address = self.settings.leader
        return super().refusal_text()


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=LoyalNode)
