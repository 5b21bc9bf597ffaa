"""A node listens on every address of the machine, whatever host it is given."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class PublicServer(StoreServer):
    """Ignores `--host`."""

    def listen(self) -> None:
        # Settings are frozen.
        object.__setattr__(self.settings, "host", "0.0.0.0")
        super().listen()


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=PublicServer)
