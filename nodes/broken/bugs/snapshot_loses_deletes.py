"""A snapshot holds keys that were deleted: after a restart they are back."""

from kvstore import snapshot
from kvstore.engine import Engine
from kvstore.main import run as run_node


class Hoarding(Engine):
    """Makes a snapshot at every delete, of everything there ever was."""

    def delete(self, key):
        ever = dict(self.data)
        found = super().delete(key)
        if found:
            self.commit()
            self.log.roll()
            self.room = 0
            path = f"{snapshot.path_of(self.folder, self.log.last)}.new"
            state = snapshot.encode(ever, self.log.last, self.log.epoch, self.log.chain)
            snapshot.write_file(path, state)
            self.adopt_snapshot(path, self.log.last)
        return found


def run(argv):
    return run_node(argv, engine_class=Hoarding)
