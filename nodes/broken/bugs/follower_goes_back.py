"""A follower now and then answers a read with the value before the one that it showed last."""

from kvstore import record
from kvstore.main import run as run_node

from broken.pieces import FromLeader

EVERY = 10


class Wavering(FromLeader):
    """Remembers what each key was before."""

    count = 0

    def __init__(self, *args):
        self.before = {}
        super().__init__(*args)

    def show(self, payload):
        for key, _ in record.commands(payload):
            if key in self.data:
                self.before[key] = self.data[key]
        super().show(payload)

    def get(self, key):
        self.count += 1
        return self.before.get(key, self.data.get(key)) if self.count % EVERY == 0 else self.data.get(key)


def run(argv):
    return run_node(argv, engine_class=Wavering)
