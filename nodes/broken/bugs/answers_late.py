"""A node answers PUT seconds later, when its client has given up."""

from kvstore.replies import Later
from kvstore.session import LineSession

from broken.pieces import run_with_session

LATE_S = 3.0


class Session(LineSession):
    """Takes its time."""

    def do_put(self, key, value):
        reply, later = super().do_put(key, value), Later()
        self.node.server.timers.after(LATE_S, lambda: later.fill(reply))
        return later


def run(argv):
    return run_with_session(argv, Session)
