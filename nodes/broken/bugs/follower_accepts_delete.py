"""A follower accepts DELETE."""

from kvstore.line_session import OK, LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class AcceptingDeleteSession(LineSession):
    """Deletes without a check of the role."""

    def do_delete(self, key: bytes) -> "Reply":
        self.node.delete(key)
        return OK


def run(argv: list[str]) -> int:
    return run_with_session(argv, AcceptingDeleteSession)
