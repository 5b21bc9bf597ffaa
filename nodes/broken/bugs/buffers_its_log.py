"""A node keeps its log lines in a buffer until it ends, like a program that never flushes."""

from kvstore.main import run as run_node
from kvstore.server import StoreServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.flags import Settings


class BufferedLogServer(StoreServer):
    """Writes all log lines when it stops."""

    def __init__(self, settings: "Settings") -> None:
        super().__init__(settings)
        self.lines: list[str] = []

    def log_line(self, text: str) -> None:
        self.lines.append(text)

    def stop(self) -> None:
        super().stop()
        for text in self.lines:
            self.stdout_log.write_line(text)


def run(argv: list[str]) -> int:
    return run_node(argv, server_class=BufferedLogServer)
