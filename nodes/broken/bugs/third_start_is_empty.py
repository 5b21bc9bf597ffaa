"""A node that starts for the third time has forgotten what it had before."""

import posix

from kvstore.engine import Engine
from kvstore.main import run as run_node

STARTS_MAX = 2


class WornEngine(Engine):
    """Counts its starts in a file, a byte each."""

    def load(self) -> None:
        super().load()
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC
        fd = posix.open(f"{self.folder}/../starts", flags)
        posix.write(fd, b".")
        if posix.fstat(fd).st_size > STARTS_MAX:
            self.data = {}
        posix.close(fd)


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=WornEngine)
