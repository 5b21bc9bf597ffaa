"""A node answers OK to a write although the disk refused to sync it: it takes a later sync that goes well for this one too."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class Hopeful(Engine):
    """Syncs, and does not look at what came of it."""

    def sync(self):
        try:
            super().sync()
        except OSError:
            self.unsynced = False
            self.durable = self.log.last


def run(argv):
    return run_node(argv, engine_class=Hopeful)
