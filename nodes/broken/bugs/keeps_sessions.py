"""A node keeps the buffer of every session that has ended."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import OnRefused
    from kvstore.node import StoreNode

BUFFER_BYTES = 20_000
BUFFERS: list[bytearray] = []


class BufferedSession(LineSession):
    """Makes a buffer that nothing frees."""

    def __init__(self, node: "StoreNode", on_refused: "OnRefused") -> None:
        super().__init__(node, on_refused)
        BUFFERS.append(bytearray(b"x" * BUFFER_BYTES))


def run(argv: list[str]) -> int:
    return run_with_session(argv, BufferedSession)
