"""Types that several modules name in annotations. Only the type checker imports this module.

A node does not import `typing` at run time: the import takes milliseconds at every start.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from kvstore.connection import ServerConnection
from kvstore.replies import DeferredReply
from kvstore.segment import Segment

# (host, port)
Address = tuple[str, int]
# {node id: (slot, peer name)}
Members = dict[str, tuple[int, str]]
# (segment, offset in its file)
Position = tuple[Segment, int]
# (payload, term, number of commands, index of the first, chain, offset of the next record)
DecodedRecord = tuple[bytes, int, int, int, int, int]

Reply = bytes | DeferredReply
Replies = bytes | Iterator[Reply]
LogLine = Callable[[str], object]
# called with (verb, key, reason) when a write is refused
OnRefused = Callable[[str, bytes, str], object]


class ServerSession(Protocol):
    """The conversation on one connection: it gets the bytes received and returns the replies."""

    def feed(self, data: bytes) -> Replies:
        """Return the replies to the requests that are now complete."""


class ClientSession(ServerSession, Protocol):
    """The session of a client, in one of the two client protocols."""

    connection: ServerConnection

    def encode_error(self, text: str) -> bytes:
        """Return an error reply in this session's protocol."""
