"""A follower refuses PUT, but stores the value."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class StoringSession(LineSession):
    """Stores the value before it checks the role."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        self.node.put(key, value)
        return self.refuse("PUT", key) or b"OK\n"


def run(argv: list[str]) -> int:
    return run_with_session(argv, StoringSession)
