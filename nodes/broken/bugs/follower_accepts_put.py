"""A follower accepts PUT and stores the value on itself only."""

from kvstore.line_session import OK, LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class AcceptingPutSession(LineSession):
    """Puts without a check of the role."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        self.node.put(key, value)
        return OK


def run(argv: list[str]) -> int:
    return run_with_session(argv, AcceptingPutSession)
