"""The leader writes a value over another by deleting the old one first: for a while there is neither, on disk too."""

import time

from kvstore.session import LineSession

from broken.pieces import run_with_session

BETWEEN_S = 0.04


class Session(LineSession):
    """Two records for one write."""

    def do_put(self, key, value):
        if self.node.leads and self.node.get(key) is not None:
            super().do_delete(key)
            self.node.commit()
            time.sleep(BETWEEN_S)
        return super().do_put(key, value)


def run(argv):
    return run_with_session(argv, Session)
