"""Replies that are more than bytes ready to send.

Most replies are plain bytes: they depend on the writes before them. `Ack` acknowledges writes, and
can encode the reply for the case that their outcome is indeterminate. An `IndependentReply` depends
on no write, so it never waits for one. A `DeferredReply` is filled later.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Ack(bytes):
    """The acknowledgement of a number of `writes`.

    `encode_indeterminate(reason)` returns the reply to one write whose outcome is indeterminate.
    """

    writes: int
    encode_indeterminate: "Callable[[str], bytes]"

    def indeterminate(self, reason: str) -> bytes:
        """Return one reply a write, each reporting that the write may have happened."""
        return self.encode_indeterminate(reason) * self.writes


class IndependentReply(bytes):
    """A reply that does not depend on the outcome of the writes before it."""


class DeferredReply:
    """A reply that is not known yet. Until it is, its connection takes no further request."""

    def __init__(self) -> None:
        self.reply: IndependentReply | None = None
        self.on_filled: Callable[[], object] | None = None

    def fill(self, reply: bytes) -> None:
        """Set the reply. Only the first call has an effect."""
        if self.reply is None:
            self.reply = IndependentReply(reply)
            if self.on_filled is not None:
                self.on_filled()


def make_ack(reply: bytes, encode_indeterminate: "Callable[[str], bytes]", count: int = 1) -> Ack:
    """Return an Ack: `reply` repeated `count` times."""
    ack = Ack(reply * count)
    ack.writes = count
    ack.encode_indeterminate = encode_indeterminate
    return ack


# comes last: the connection is closed after everything before it is sent
CLOSE = DeferredReply()
