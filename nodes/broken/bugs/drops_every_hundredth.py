"""A follower passes over every hundredth write of its leader; its index goes on as if nothing was."""

from kvstore.main import run as run_node

from broken.pieces import FromLeader


class Leaky(FromLeader):
    """Counts records."""

    count = 0

    def show(self, payload):
        self.count += 1
        if self.count % 100:
            super().show(payload)


def run(argv):
    return run_node(argv, engine_class=Leaky)
