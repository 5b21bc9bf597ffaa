"""A node keeps its latest 4,000 keys only."""

from kvstore.engine import Engine
from kvstore.main import run as run_node

KEYS_MAX = 4_000


class BoundedEngine(Engine):
    """Drops the key that was put first."""

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        if len(self.data) > KEYS_MAX:
            state = self.data
            assert isinstance(state, dict)
            del state[next(iter(state))]


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=BoundedEngine)
