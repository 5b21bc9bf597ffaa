"""A compare-and-set compares at once and sets a moment later, even if the key has changed."""

from kvstore.line_session import OK, LineSession
from kvstore.replies import DeferredReply

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

GAP_S = 0.001


class SplitCasSession(LineSession):
    """Sets the key in a later turn than it compares."""

    def do_cas(self, key: bytes, expected: bytes, value: bytes) -> "Reply":
        refused = self.refuse("CAS", key)
        if refused:
            return refused
        if self.node.get(key) != expected:
            return super().do_cas(key, expected, value)
        deferred = DeferredReply()
        self.node.server.timers.after(GAP_S, lambda: self.set(deferred, key, value))
        return deferred

    def set(self, deferred: DeferredReply, key: bytes, value: bytes) -> None:
        self.node.put(key, value)
        deferred.fill(OK)


def run(argv: list[str]) -> int:
    return run_with_session(argv, SplitCasSession)
