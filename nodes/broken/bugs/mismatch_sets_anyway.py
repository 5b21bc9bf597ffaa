"""The leader answers that a compare-and-set did not match, and stores the new value anyway."""

from kvstore import lines
from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class SettingCasSession(LineSession):
    """Stores the value of a compare-and-set that did not match."""

    def do_cas(self, key: bytes, expected: bytes, value: bytes) -> "Reply":
        reply = super().do_cas(key, expected, value)
        if isinstance(reply, bytes) and reply.startswith(lines.MISMATCH[:-1]):
            self.node.put(key, value)
        return reply


def run(argv: list[str]) -> int:
    return run_with_session(argv, SettingCasSession)
