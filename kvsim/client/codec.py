"""What a protocol must be able to do to ride on a connection: write a request, and cut one reply out of
bytes. No socket here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kvsim.client.exchange import Request
from kvsim.client.settings import Setting, one_of, whole

REPLY_BYTES_MAX = 16 * 1024 * 1024

STREAM_SETTINGS: dict[str, Setting] = {
    "connection": Setting(
        "`lasting`: one connection for all requests; `per_request`: a new one for each",
        "lasting",
        one_of("lasting", "per_request"),
    ),
    "reply_max_bytes": Setting(
        "a longer reply is cut off and the outcome is unknown", REPLY_BYTES_MAX, whole(1, 2**31)
    ),
}


class Malformed(Exception):
    """Bytes that are not this protocol's. Never leaves kvsim/client."""


class Oversize(Exception):
    """A reply beyond `reply_max_bytes`. Never leaves kvsim/client."""


@dataclass(frozen=True)
class Reply:
    """One whole reply. `text` is what the rules read, `rest` what came behind it; `last`: the connection ends
    with it.
    """

    text: bytes
    rest: bytes = b""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extracted: Mapping[str, str | None] = field(default_factory=dict)
    last: bool = False


class Decoder(Protocol):
    """Finds the end of one reply in bytes that come in any pieces. One decoder for each reply."""

    @property
    def wants(self) -> str:
        """What has to come before the reply is whole, in words: `a line end`."""
        ...

    def feed(self, data: bytes) -> Reply | None:
        """The reply once it is whole. Raises Malformed or Oversize."""
        ...

    def finish(self) -> Reply | None:
        """The peer closed: the reply, when it is one that ends so."""
        ...


@dataclass(frozen=True)
class Shake:
    """One request of the handshake on a new connection, and the pattern that its reply must match."""

    send: bytes
    expect: str


class Codec(Protocol):
    """A protocol over a connection."""

    handshake: tuple[Shake, ...]

    def encode(self, request: Request) -> bytes:
        """The request's bytes. Raises UnknownVerb, Unsendable, UsageError."""
        ...

    def decoder(self, verb: str) -> Decoder: ...

    def greeting(self) -> Decoder | None:
        """A decoder for what the server says first; None when it says nothing."""
        ...


def too_long(limit: int) -> Oversize:
    return Oversize(f"the reply is longer than reply_max_bytes ({limit})")
