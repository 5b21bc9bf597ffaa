"""A node that finds the lock file of a node that was killed does not start."""

import posix

from kvstore.engine import Engine
from kvstore.errors import StartError
from kvstore.main import run as run_node


class LockedEngine(Engine):
    """A file says that it runs; an orderly stop removes it."""

    def load(self) -> None:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
        try:
            posix.close(posix.open(f"{self.folder}/../RUNNING", flags))
        except FileExistsError:
            raise StartError("another node is running: ../RUNNING exists") from None
        super().load()

    def close(self) -> None:
        super().close()
        posix.unlink(f"{self.folder}/../RUNNING")


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=LockedEngine)
