"""A node answers every accepted PUT twice."""

from kvstore.session import LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Says OK, OK."""

    def do_put(self, key, value):
        reply = super().do_put(key, value)
        return reply if reply.startswith(b"ERR") else reply * 2


def run(argv):
    return run_with_session(argv, Session)
