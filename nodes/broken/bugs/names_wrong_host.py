"""A follower that refuses a write names the leader's port on another host."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

# Of a network for documentation (RFC 5737): no machine has this address.
HOST = "198.51.100.7"


class WrongHostNode(StoreNode):
    """Names a host of its own choice."""

    def refusal_text(self) -> str:
        port = self.leader_address[1] if self.leader_address else self.settings.port
        return f"read-only, leader is on {HOST}:{port}"


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=WrongHostNode)
