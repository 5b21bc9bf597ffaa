"""A node answers OK to a write that its disk had no room for: it goes on in memory only."""

from kvstore.engine import Engine
from kvstore.errors import DiskFullError
from kvstore.main import run as run_node


class Carefree(Engine):
    """Applies what it could not store."""

    def put(self, key, value):
        try:
            super().put(key, value)
        except DiskFullError:
            self.data[key] = value

    def put_all(self, keys, values, commands):
        try:
            super().put_all(keys, values, commands)
        except DiskFullError:
            self.data.update(zip(keys, values))  # noqa: B905  (equal lengths by construction; `strict` costs)


def run(argv):
    return run_node(argv, engine_class=Carefree)
