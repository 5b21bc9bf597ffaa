"""The leader crashes when it is asked to PUT."""

import posix

from kvstore.session import LineSession

from broken.pieces import run_with_session


class Session(LineSession):
    """Falls over the first write it accepts."""

    def do_put(self, key, value):
        if self.node.leads:
            self.node.server.say("panic: index out of range in do_put")
            posix._exit(134)
        return super().do_put(key, value)


def run(argv):
    return run_with_session(argv, Session)
