"""A node answers PUT after more than a second, when its client has given up."""

from kvstore.line_session import LineSession
from kvstore.replies import DeferredReply

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

# Later than the limit of a request, and well before five times as long.
DELAY_S = 1.5


class LatePutSession(LineSession):
    """Delays every reply to PUT."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        reply, deferred = super().do_put(key, value), DeferredReply()
        assert isinstance(reply, bytes)
        self.node.server.timers.after(DELAY_S, lambda: deferred.fill(reply))
        return deferred


def run(argv: list[str]) -> int:
    return run_with_session(argv, LatePutSession)
