"""The leader answers that a compare-and-set did not match, and stores the new value all the same."""

from kvstore import lines
from kvstore.session import LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Says one thing and does another."""

    def do_cas(self, key, expected, value):
        reply = super().do_cas(key, expected, value)
        if reply.startswith(lines.MISMATCH[:-1]):
            self.node.put(key, value)
        return reply


def run(argv):
    return run_with_session(argv, Session)
