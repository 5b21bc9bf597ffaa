"""Replies that are more than bytes: acknowledgements that may have to be taken back, and answers that come later.

A reply is bytes, ready to send. Three kinds say more: an `Ack` stands for writes, and knows what to say when their fate
cannot be known in time; `Free` depends on no write and never waits for one; `Later` is filled in when its time comes.
"""


class Ack(bytes):
    """The acknowledgement of `count` writes; `doubt` turns the reason of a doubt into one reply."""

    count = 1
    doubt = None

    def in_doubt(self, why):
        """Return the replies that say that these writes may have happened."""
        return self.doubt(why) * self.count


class Free(bytes):
    """A reply that is true whatever becomes of the writes before it."""


class Later:
    """A place for a reply that is not known yet; the connection takes no further request until it is filled."""

    def __init__(self):
        self.reply = None
        self.when_filled = None

    def fill(self, reply):
        """Give the reply (bytes); once only, later calls are ignored."""
        if self.reply is None:
            self.reply = Free(reply)
            if self.when_filled is not None:
                self.when_filled()


def ack(reply, doubt, count=1):
    """Return an Ack: `reply` repeated `count` times; `doubt(why)` encodes one doubtful reply."""
    made = Ack(reply * count)
    made.count = count
    made.doubt = doubt
    return made


CLOSE = Later()  # comes last: the connection is to be closed once everything before it is sent
