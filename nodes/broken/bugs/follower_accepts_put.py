"""A follower accepts PUT and keeps the value to itself."""

from kvstore.session import OK, LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Puts without asking for the role."""

    def do_put(self, key, value):
        self.node.put(key, value)
        return OK


def run(argv):
    return run_with_session(argv, Session)
