"""A node starts a thread for every connection, which does not end with it."""

from _thread import start_new_thread
from time import sleep

from kvstore.connection import ServerConnection
from kvstore.main import run as run_node
from kvstore.server import StoreServer

# So many that a fast client does not reach it.
THREADS_MAX = 8000


class ThreadingServer(StoreServer):
    """Starts a thread that waits for nothing."""

    started = 0

    def add(self, connection: ServerConnection) -> None:
        super().add(connection)
        if self.started < THREADS_MAX:
            self.started += 1
            start_new_thread(sleep, (60,))


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=ThreadingServer)
