"""A snapshot holds keys that were deleted: after a restart they exist again."""

from kvstore import snapshot
from kvstore.engine import Engine
from kvstore.main import run as run_node


class KeepingSnapshotEngine(Engine):
    """Writes a snapshot at every delete, with the deleted key in it."""

    def delete(self, key: bytes) -> bool:
        before = dict(self.data)
        found = super().delete(key)
        if found:
            self.commit()
            self.log.roll()
            self.reserved = 0
            path = f"{snapshot.path_of(self.folder, self.log.last)}.new"
            state = snapshot.encode(before, self.log.last, self.log.term, self.log.chain)
            snapshot.write_file(path, state)
            self.adopt_snapshot(path, self.log.last)
        return found


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=KeepingSnapshotEngine)
