"""A node answers a DELETE, and nothing after it: as if it held a lock for ever."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class DeadlockedSession(LineSession):
    """Sends no reply once a DELETE was executed, on any connection."""

    deadlocked = False

    def do_delete(self, key: bytes) -> "Reply":
        reply = super().do_delete(key)
        DeadlockedSession.deadlocked = True
        return reply

    def do_get(self, key: bytes) -> "Reply":
        return b"" if DeadlockedSession.deadlocked else super().do_get(key)


def run(argv: list[str]) -> int:
    return run_with_session(argv, DeadlockedSession)
