"""A node leaves a child behind that has its own session, an empty environment and no open file."""

import posix
from signal import SIG_IGN, SIGTERM, signal

from kvstore.main import run as run_node
from kvstore.server import StoreServer

CHILD_LIFE_S = 60


class HidingServer(StoreServer):
    """Starts a program that cannot be told from others by its environment."""

    def listen(self) -> None:
        super().listen()
        if posix.fork() == 0:
            posix.setsid()
            signal(SIGTERM, SIG_IGN)
            posix.closerange(0, 64)
            posix.chdir("/")
            posix.execve("/bin/sleep", ["sleep", str(CHILD_LIFE_S)], {})


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=HidingServer)
