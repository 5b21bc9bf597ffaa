"""A request and its response: what each protocol produces and the outcome rules read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct, field

from kvsim.history.outcome import Outcome


class Request(Struct, frozen=True):
    """A request to a node.

    `verb` is a name in node.yaml's `requests`; `fields` are its key, value and so on. With
    `payload`, those bytes are sent as they are. `when_sent` is called after the last byte was sent.
    """

    verb: str
    fields: Mapping[str, str] = field(default_factory=dict)
    payload: bytes | None = None
    when_sent: Callable[[], None] | None = None


class Exchange(Struct, frozen=True):
    """One request as it went over the connection.

    Times are `time.monotonic_ns()`: `invoked_ns` before the first byte was sent, `completed_ns`
    after the reply was whole or the failure was found. `failure` is None, `unreachable` (nothing
    was sent), `timeout`, `reset`, `closed`, `oversize` or `malformed` (bytes that do not belong to
    the protocol); `problem` describes it.

    `received` are the bytes of the reply. `reply` is the part of it that the outcome rules read: a
    line without its end, a frame's body, RESP as text, an HTTP body. None: `received` as it is.
    `extracted` are values that the protocol took from the reply; None: it found nothing there.
    `status` is an exit status or an HTTP status; `headers` and `stderr` exist where the protocol
    has them.

    `unsolicited` are bytes that arrived without a request, such as a second or a late reply. The
    connection was then closed. The last `trailing_bytes` bytes of them followed this reply; the
    others were there before the request was sent. `connection` is `local -> remote`, empty where
    there is none.
    """

    verb: str
    sent: bytes
    received: bytes
    invoked_ns: int
    completed_ns: int
    failure: str | None = None
    problem: str = ""
    connection: str = ""
    unsolicited: bytes = b""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stderr: bytes = b""
    reply: bytes | None = None
    extracted: Mapping[str, str | None] = field(default_factory=dict)
    trailing_bytes: int = 0

    @property
    def text(self) -> str:
        """The reply as the outcome rules read it.

        Bytes that are not UTF-8 become surrogates, so that different replies stay different.
        """
        data = self.received if self.reply is None else self.reply
        return data.decode("utf-8", "surrogateescape")


class Response(Struct, frozen=True):
    """An exchange and its outcome under the program's outcome rules.

    `groups` are the named groups of the pattern that matched.
    """

    exchange: Exchange
    outcome: Outcome
    groups: Mapping[str, str] = field(default_factory=dict)


class Client(Protocol):
    """Sends requests to one node. A failure of the node is in the Response and never raises."""

    def ask(self, request: Request, timeout_s: float) -> Response:
        """Send one request and wait for its response at most `timeout_s`."""
        ...

    def close(self) -> bytes:
        """Close. Returns the bytes that had arrived without a request."""
        ...
