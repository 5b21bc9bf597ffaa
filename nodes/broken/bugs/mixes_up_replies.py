"""A read is sometimes answered with the value of the key that was read before it."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

EVERY = 40


class MixedRepliesSession(LineSession):
    """Answers one read in forty with the answer to the previous read of any client."""

    count = 0
    previous: "Reply | None" = None

    def do_get(self, key: bytes) -> "Reply":
        cls = type(self)
        reply = super().do_get(key)
        cls.count += 1
        previous, cls.previous = cls.previous, reply
        return previous if previous is not None and cls.count % EVERY == 0 else reply


def run(argv: list[str]) -> int:
    return run_with_session(argv, MixedRepliesSession)
