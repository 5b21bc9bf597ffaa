"""A follower refuses PUT as it should, and stores the value all the same."""

from kvstore.session import LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Stores first, then asks whether it may."""

    def do_put(self, key, value):
        self.node.put(key, value)
        return self.refuse("PUT", key) or b"OK\n"


def run(argv):
    return run_with_session(argv, Session)
