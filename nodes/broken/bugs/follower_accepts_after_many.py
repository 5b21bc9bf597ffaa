"""A follower refuses the first hundred writes of a connection, and accepts the others."""

from kvstore.line_session import OK, LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

REFUSED = 100


class TiringSession(LineSession):
    """Counts the writes of its connection."""

    puts = 0

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        self.puts += 1
        if self.puts <= REFUSED:
            return super().do_put(key, value)
        self.node.put(key, value)
        return OK


def run(argv: list[str]) -> int:
    return run_with_session(argv, TiringSession)
