"""The leader serves reads from a copy of its state that is renewed every tenth of a second."""

from time import monotonic

from kvstore import lines
from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

RENEW_S = 0.1


class StaleReadSession(LineSession):
    """Reads a copy that all sessions share."""

    copy: dict[bytes, bytes] | None = None
    copied_s = 0.0

    def do_get(self, key: bytes) -> "Reply":
        cls = type(self)
        if cls.copy is None or monotonic() - cls.copied_s > RENEW_S:
            cls.copy, cls.copied_s = dict(self.node.engine.data), monotonic()
        value = cls.copy.get(key)
        return lines.NOT_FOUND if value is None else lines.encode_value(value)


def run(argv: list[str]) -> int:
    return run_with_session(argv, StaleReadSession)
