"""A node keeps 10,000 bytes for every GET that it has answered."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

REMEMBERED: list[bytearray] = []


class RememberingSession(LineSession):
    """Writes into what it keeps, so that it is memory and no promise."""

    def do_get(self, key: bytes) -> "Reply":
        REMEMBERED.append(bytearray(b"x" * 10_000))
        return super().do_get(key)


def run(argv: list[str]) -> int:
    return run_with_session(argv, RememberingSession)
