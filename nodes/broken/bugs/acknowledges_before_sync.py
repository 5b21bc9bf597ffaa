"""A node acknowledges a write when it has handed it to the system, and syncs once a second."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class LateSyncEngine(Engine):
    """Says that everything is durable that was written."""

    def sync(self) -> None:
        self.durable = self.log.last

    def tick(self) -> None:
        if self.unsynced:
            super().sync()
        super().tick()


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=LateSyncEngine)
