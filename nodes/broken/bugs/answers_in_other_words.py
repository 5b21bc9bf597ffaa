"""One write in two hundred is answered in words that no description of the store has."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

EVERY = 200


class WordySession(LineSession):
    """Counts the writes of all clients."""

    count = 0

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        cls = type(self)
        cls.count += 1
        return b"try later\n" if cls.count % EVERY == 0 else super().do_put(key, value)


def run(argv: list[str]) -> int:
    return run_with_session(argv, WordySession)
