"""A node comes back empty after a restart: it writes its log and never reads it."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class Blank(Engine):
    """Reads the log's records and applies none."""

    def replay(self, payload):
        pass


def run(argv):
    return run_node(argv, engine_class=Blank)
