"""A compare-and-set compares at once and sets a moment later, whatever has come between."""

from kvstore.replies import Later
from kvstore.session import OK, LineSession

from broken.pieces import run_with_session

GAP_S = 0.001


class Session(LineSession):
    """Does two things where one was asked for."""

    def do_cas(self, key, expected, value):
        refused = self.refuse("CAS", key)
        if refused:
            return refused
        if self.node.get(key) != expected:
            return super().do_cas(key, expected, value)
        later = Later()
        self.node.server.timers.after(GAP_S, lambda: self.set(later, key, value))
        return later

    def set(self, later, key, value):
        self.node.put(key, value)
        later.fill(OK)


def run(argv):
    return run_with_session(argv, Session)
