"""A follower becomes the leader when it is told to, whatever the other nodes have."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class EagerNode(StoreNode):
    """Takes every promotion for a forced one."""

    def promote(self, force: bool) -> "Reply":
        return super().promote(True)


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=EagerNode)
