"""A node executes PUT and never answers it."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class SilentSession(LineSession):
    """Sends no reply to PUT."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        super().do_put(key, value)
        return b""


def run(argv: list[str]) -> int:
    return run_with_session(argv, SilentSession)
