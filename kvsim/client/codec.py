"""What a protocol over a connection must be able to do: encode a request, and decode one reply.

Values and interfaces only; no socket. `stream` joins a codec to a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from kvsim.client.exchange import Request
from kvsim.client.settings import ProtocolSetting
from kvsim.config.schema import WORD, Choice, Int, Text

REPLY_BYTES_MAX = 16 * 1024 * 1024

CONNECTION = ProtocolSetting(
    "connection",
    "how long a connection lasts",
    Choice(
        {
            "persistent": "one connection for all requests",
            "per_request": "a new one for each",
        }
    ),
    "persistent",
    "persistent",
)
REPLY_MAX_BYTES = ProtocolSetting(
    "reply_max_bytes",
    "a longer reply is cut off and the outcome is unknown",
    Int(1, 2**31, "a number of bytes"),
    REPLY_BYTES_MAX,
    "16777216",
)


PORT: ProtocolSetting[str | None] = ProtocolSetting(
    "port",
    "the extra port to connect to, a name in `ports`",
    Text("a name", pattern=WORD),
    None,
    "the client port",
)


class Malformed(Exception):
    """Bytes that do not belong to this protocol. Caught inside kvsim/client."""


class Oversize(Exception):
    """A reply longer than `reply_max_bytes`. Caught inside kvsim/client."""


class ReplyFrame(Struct, frozen=True):
    """One whole reply.

    `text` is what the outcome rules read, `rest` the bytes behind the reply, `skipped` replies
    before it that belong to no request under way. `last`: the connection ends with this reply.
    """

    text: bytes
    rest: bytes = b""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extracted: Mapping[str, str | None] = field(default_factory=dict)
    last: bool = False
    skipped: bytes = b""


class Decoder(Protocol):
    """Finds the end of one reply in bytes that arrive in any pieces. Decodes one reply only."""

    @property
    def missing(self) -> str:
        """What must arrive before the reply is whole, for messages: `a line end`."""
        ...

    def feed(self, data: bytes) -> ReplyFrame | None:
        """The reply, as soon as it is whole. Raises Malformed or Oversize."""
        ...

    def finish(self) -> ReplyFrame | None:
        """The reply, if it is one that ends when the peer closes the connection."""
        ...


class HandshakeStep(Struct, frozen=True):
    """One request of the handshake on a new connection, and the pattern for its reply."""

    send: bytes
    expect: str


class Codec(Protocol):
    """A protocol over a connection."""

    @property
    def handshake(self) -> tuple[HandshakeStep, ...]:
        """The requests that a new connection begins with, in order; often none."""
        ...

    def encode(self, request: Request) -> bytes:
        """The request's bytes. Raises UnknownVerb, Unsendable, UsageError."""
        ...

    def decoder(self, verb: str, sent: bytes = b"") -> Decoder:
        """A new decoder for the one reply to a request with this verb, and these bytes."""
        ...

    def greeting(self) -> Decoder | None:
        """A decoder for what the server sends first; None when it sends nothing."""
        ...


def too_long(limit: int) -> Oversize:
    """The error for a reply of more than `limit` bytes."""
    return Oversize(f"the reply is longer than reply_max_bytes ({limit})")
