"""A node writes a file into its working directory and closes it, so that only the file shows it."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer


class CarelessServer(StoreServer):
    """Notes its settings in a file without a folder."""

    def log_ready(self) -> None:
        with open("settings.txt", "w") as file:
            file.write(f"port {self.settings.port}\n")
        super().log_ready()


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=CarelessServer)
