"""A node is empty after a restart: it writes its log and never reads it."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class ForgettingEngine(Engine):
    """Reads the log's records and applies none."""

    def replay(self, payload: bytes) -> None:
        pass


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=ForgettingEngine)
