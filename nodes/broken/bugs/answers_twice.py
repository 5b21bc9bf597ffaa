"""A node answers every accepted PUT twice."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class DoubleReplySession(LineSession):
    """Repeats the reply to PUT."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        reply = super().do_put(key, value)
        assert isinstance(reply, bytes)
        return reply if reply.startswith(b"ERR") else reply * 2


def run(argv: list[str]) -> int:
    return run_with_session(argv, DoubleReplySession)
