"""One request on the wire and what came back: the values every protocol file produces and the outcome rules
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kvsim.history.outcome import Outcome


@dataclass(frozen=True)
class Request:
    """What to ask. `verb` is a name in node.yaml's `requests`, or `raw` with `payload` sent as it stands."""

    verb: str
    fields: Mapping[str, str] = field(default_factory=dict)  # key, value, …
    payload: bytes | None = None
    when_sent: Callable[[], None] | None = field(default=None, compare=False)  # called when it is all sent


@dataclass(frozen=True)
class Exchange:
    """One request as it really went.

    Times are `time.monotonic_ns()`: `invoked_ns` before the first byte is sent, `completed_ns` after the
    reply is whole (or the failure seen). `failure` is None or `unreachable` (nothing was sent), `timeout`,
    `reset`, `closed`, `oversize`, `malformed` (bytes that are not the protocol's). `unsolicited` are bytes
    found on the connection that no request had asked for (a second answer, a late one): the connection was
    thrown away. `connection` is `local -> remote`, `""` where there is none. `status` is an exit status or
    HTTP status, `headers` and `stderr` where the protocol has them. `received` is all that came on the wire.
    `reply` is what the outcome rules read of it (a line without its end, a frame's body, RESP rendered, an
    HTTP body); None: `received` as it stands. `extracted` are values the protocol itself took from the reply,
    None where it looked and found nothing. The last `surplus` bytes of `unsolicited` came right behind this
    reply; those before them were there before the request was sent.
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
    surplus: int = 0

    @property
    def text(self) -> str:
        """The reply as the rules read it. Bytes that are not UTF-8 survive as surrogates, so nothing is lost
        or equated.
        """
        data = self.received if self.reply is None else self.reply
        return data.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Answer:
    """An exchange and what the program's outcome rules make of it."""

    exchange: Exchange
    outcome: Outcome
    groups: Mapping[str, str] = field(default_factory=dict)  # named groups of the reply pattern that matched


class Client(Protocol):
    """A connection to one node. Never raises for what the node does; every failure is in the Answer."""

    def ask(self, request: Request, timeout_s: float) -> Answer: ...

    def close(self) -> bytes:
        """Close; return bytes that had arrived unasked."""
        ...
