"""A node acknowledges a write although its sync failed: it relies on a later sync."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class IgnoringSyncEngine(Engine):
    """Ignores the errors of a sync."""

    def sync(self) -> None:
        try:
            super().sync()
        except OSError:
            self.unsynced = False
            self.durable = self.log.last


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=IgnoringSyncEngine)
