"""A node sorts all its keys at every put, once more for every thousand keys."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class SortingEngine(Engine):
    """Keeps an index in order, the expensive way."""

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        state = self.data
        assert isinstance(state, dict)
        for _ in range(len(state) // 1000 + 1):
            self.order = sorted(sorted(state), key=bytes.hex)


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=SortingEngine)
