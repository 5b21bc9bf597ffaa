"""A node keeps the first 1,023 bytes of a value: a fixed buffer, and its end was not checked."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

BUFFER_BYTES = 1023


class CuttingSession(LineSession):
    """Stores what fits into its buffer."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        return super().do_put(key, value[:BUFFER_BYTES])


def run(argv: list[str]) -> int:
    return run_with_session(argv, CuttingSession)
