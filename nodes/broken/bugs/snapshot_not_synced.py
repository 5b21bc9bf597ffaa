"""A snapshot that is not synced replaces the log: a delete writes one."""

import posix

from kvstore import snapshot
from kvstore.engine import Engine
from kvstore.main import run as run_node


class UnsyncedSnapshotEngine(Engine):
    """Writes a snapshot at every delete."""

    def delete(self, key: bytes) -> bool:
        found = super().delete(key)
        if found:
            self.commit()
            self.log.roll()
            self.reserved = 0
            log = self.log
            path = f"{snapshot.path_of(self.folder, log.last)}.new"
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
            fd = posix.open(path, flags, 0o644)
            for piece in snapshot.encode(dict(self.data), log.last, log.term, log.chain):
                posix.write(fd, piece)
            posix.close(fd)
            self.adopt_snapshot(path, log.last)
        return found


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=UnsyncedSnapshotEngine)
