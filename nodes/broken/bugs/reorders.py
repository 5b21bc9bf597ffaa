"""A follower applies its leader's writes in pairs, the later one first."""

from kvstore.main import run as run_node

from broken.pieces import FromLeader


class Swapping(FromLeader):
    """Holds one record back until the next has been shown."""

    held = None

    def show(self, payload):
        if self.held is None:
            self.held = payload
            return
        super().show(payload)
        super().show(self.held)
        self.held = None


def run(argv):
    return run_node(argv, engine_class=Swapping)
