"""A follower tells the leader that it has a record before the record is on its disk."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class UnsyncedFollowerEngine(Engine):
    """Leaves it to the system when the records of a leader reach the disk."""

    follows = False

    def apply_record(self, packed: bytes) -> None:
        self.follows = True
        super().apply_record(packed)

    def sync(self) -> None:
        if self.follows:
            self.unsynced = False
            self.durable = self.log.last
        else:
            super().sync()


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=UnsyncedFollowerEngine)
