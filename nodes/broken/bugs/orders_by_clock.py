"""Of two writes of a key the node keeps that with the later wall clock time; both get OK."""

from time import time

from kvstore.engine import Engine
from kvstore.main import run as run_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class ClockOrderEngine(Engine):
    """Remembers when each key was written, and drops a write that appears to be older."""

    def load(self) -> None:
        self.written_s: dict[bytes, float] = {}
        super().load()

    def put(self, key: bytes, value: bytes) -> None:
        if self.is_newest(key):
            super().put(key, value)

    def put_all(self, keys: "Sequence[bytes]", values: "Sequence[bytes]", commands: bytes) -> None:
        for key, value in zip(keys, values, strict=True):
            self.put(key, value)

    def is_newest(self, key: bytes) -> bool:
        now_s = time()
        if now_s < self.written_s.get(key, 0.0):
            return False
        self.written_s[key] = now_s
        return True


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=ClockOrderEngine)
