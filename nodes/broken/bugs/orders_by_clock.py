"""Of two writes of a key the node keeps the one with the later wall clock time, and answers OK to both."""

from time import time

from kvstore.engine import Engine
from kvstore.main import run as run_node


class ByClock(Engine):
    """Remembers when each key was written; what seems older than that is dropped."""

    def load(self):
        self.written = {}
        super().load()

    def put(self, key, value):
        if self.is_newest(key):
            super().put(key, value)

    def put_all(self, keys, values, commands):
        for key, value in zip(keys, values):  # noqa: B905  (equal lengths by construction)
            self.put(key, value)

    def is_newest(self, key):
        now_s = time()
        if now_s < self.written.get(key, 0.0):
            return False
        self.written[key] = now_s
        return True


def run(argv):
    return run_node(argv, engine_class=ByClock)
