"""A follower applies every write of its leader a second time, behind the next one."""

from kvstore.main import run as run_node

from broken.pieces import FromLeader


class Twice(FromLeader):
    """Repeats itself, a little late."""

    last = None

    def show(self, payload):
        super().show(payload)
        if self.last is not None:
            super().show(self.last)
        self.last = payload


def run(argv):
    return run_node(argv, engine_class=Twice)
