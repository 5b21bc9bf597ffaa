"""The leader answers OK to a write and hands it to the disk up to a second later, `--fsync=always` or not."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class Lazy(Engine):
    """Commits when there is time."""

    def commit(self):
        pass

    def tick(self):
        super().commit()
        super().tick()

    def close(self):
        super().commit()
        super().close()


def run(argv):
    return run_node(argv, engine_class=Lazy)
