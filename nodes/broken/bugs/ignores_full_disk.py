"""A node acknowledges a write for which its disk has no space: it keeps it in memory only."""

from kvstore.engine import Engine
from kvstore.errors import DiskFullError
from kvstore.main import run as run_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryOnlyEngine(Engine):
    """Applies a write that it could not store."""

    def put(self, key: bytes, value: bytes) -> None:
        try:
            super().put(key, value)
        except DiskFullError:
            self.data[key] = value

    def put_all(self, keys: "Sequence[bytes]", values: "Sequence[bytes]", commands: bytes) -> None:
        try:
            super().put_all(keys, values, commands)
        except DiskFullError:
            self.data.update(zip(keys, values, strict=True))


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=MemoryOnlyEngine)
