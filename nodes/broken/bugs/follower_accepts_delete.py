"""A follower accepts DELETE."""

from broken.pieces import run_with_session
from kvstore.session import OK, LineSession


class Session(LineSession):
    """Deletes without asking for the role."""

    def do_delete(self, key):
        self.node.delete(key)
        return OK


def run(argv):
    return run_with_session(argv, Session)
