"""A node leaves a child behind that holds its port, in a session of its own."""

import posix
from time import sleep

from kvstore.main import run as run_node
from kvstore.server import Server

CHILD_LIFE_S = 60


class Parent(Server):
    """Starts a helper that inherits the listening socket and outlives it."""

    def listen(self):
        super().listen()
        if posix.fork() == 0:
            posix.setsid()
            sleep(CHILD_LIFE_S)
            posix._exit(0)


def run(argv):
    return run_node(argv, server_class=Parent)
