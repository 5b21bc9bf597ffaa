"""A follower refuses GET as it refuses writes."""

from kvstore.session import LineSession

from broken.pieces import refused_anyway, run_with_session


class Session(LineSession):
    """Sends readers to the leader."""

    def do_get(self, key):
        return super().do_get(key) if self.node.leads else refused_anyway(self, "GET", key)


def run(argv):
    return run_with_session(argv, Session)
