"""A follower accepts DELETE."""

from kvstore.session import OK, LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Deletes without asking for the role."""

    def do_delete(self, key):
        self.node.delete(key)
        return OK


def run(argv):
    return run_with_session(argv, Session)
