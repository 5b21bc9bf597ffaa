"""A node deletes every key that begins with the one that it is given."""

from kvstore.main import run as run_node
from kvstore.node import StoreNode


class SweepingNode(StoreNode):
    """Remembers the keys that it was given."""

    keys: set[bytes] = set()  # noqa: RUF012 (a process has one node)

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        self.keys.add(key)

    def delete(self, key: bytes) -> bool:
        for other in [other for other in self.keys if other.startswith(key) and other != key]:
            super().delete(other)
        return super().delete(key)


def run(argv: list[str]) -> int:
    return run_node(argv, node_class=SweepingNode)
