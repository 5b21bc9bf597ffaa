"""The leader crashes on PUT."""

import posix

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class CrashingSession(LineSession):
    """Ends the process on the first write that it accepts."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        if self.node.is_leader:
            self.node.server.log_line("panic: index out of range in do_put")
            posix._exit(134)
        return super().do_put(key, value)


def run(argv: list[str]) -> int:
    return run_with_session(argv, CrashingSession)
