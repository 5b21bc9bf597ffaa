"""The leader acknowledges a write up to a second before it is on disk, even with fsync=always."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class LateCommitEngine(Engine):
    """Commits once a second, not once a turn."""

    def commit(self) -> None:
        pass

    def tick(self) -> None:
        super().commit()
        super().tick()

    def close(self) -> None:
        super().commit()
        super().close()


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=LateCommitEngine)
