"""A node takes PUT and never answers, though it does what was asked."""

from kvstore.session import LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Silence."""

    def do_put(self, key, value):
        super().do_put(key, value)
        return b""


def run(argv):
    return run_with_session(argv, Session)
