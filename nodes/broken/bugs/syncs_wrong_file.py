"""A node syncs the file FORMAT where it means its log."""

import posix

from kvstore.engine import Engine
from kvstore.log import RecordLog
from kvstore.main import run as run_node


class WronglySyncedLog(RecordLog):
    """Opens another file for each sync."""

    def sync(self) -> None:
        fd = posix.open(f"{self.folder}/FORMAT", posix.O_RDONLY | posix.O_CLOEXEC)
        posix.fdatasync(fd)
        posix.close(fd)


class WrongSyncEngine(Engine):
    log_class = WronglySyncedLog


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=WrongSyncEngine)
