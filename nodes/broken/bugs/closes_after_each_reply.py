"""A node closes the connection behind every reply, as if each client had only one question."""

from kvstore.main import run as run_node
from kvstore.server import Server


class Curt(Server):
    """One reply, good-bye."""

    def flush(self, connection):
        super().flush(connection)
        self.drop(connection)


def run(argv):
    return run_node(argv, server_class=Curt)
