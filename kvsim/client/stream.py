"""The client for every protocol over a connection: it joins a codec (what the bytes mean) to a
socket.

It guarantees that the reply it returns belongs to the request it sent. After a failure the
connection is closed. Before each request, bytes that have arrived without a request are reported as
`unsolicited`, and the connection is closed too. After the first reply to each verb the client waits
a moment longer, because a server that replies twice does so from the start. A server that once sent
unsolicited bytes gets a new connection for every later request.

No client can detect an unsolicited reply that arrives between sending and the true reply. The true
reply is then found as unsolicited bytes and reported with the next request.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.client.codec import Codec, Decoder, Malformed, Oversize, ReplyFrame
from kvsim.client.connection import Connection, ConnectionFailed, open_connection
from kvsim.client.exchange import Exchange, Request, Response
from kvsim.client.outcomes import classify, format_bytes
from kvsim.config.program import ReplyRule
from kvsim.history.outcome import BEFORE_THE_REQUEST
from kvsim.patterns import search

# What had arrived by the deadline is still read, if this process was late: so many pieces.
LATE_PIECES_MAX = 16
# The wait after the first reply to a verb, for a second one.
SECOND_REPLY_S = 0.002


class _RoundTrip(Struct):
    """One request under way, up to any failure. `sent` counts the bytes of `data` that are sent."""

    verb: str
    data: bytes
    when_sent: Callable[[], None] | None = None
    sent: int = 0
    received: bytearray = field(default_factory=bytearray)
    reply: ReplyFrame | None = None
    invoked_ns: int = field(default_factory=time.monotonic_ns)
    completed_ns: int = 0
    failure: str | None = None
    problem: str = ""

    def fail(self, failure: str, problem: str) -> None:
        self.failure, self.problem = failure, problem

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another request."""
        whole = self.reply is not None and not self.reply.last
        return whole and self.failure is None and self.sent == len(self.data)

    def exchange(self, connection: str, leading: bytes, trailing: bytes) -> Exchange:
        """The exchange, with the unsolicited bytes before the request and after the reply."""
        reply = self.reply or _NO_REPLY
        return Exchange(
            verb=self.verb,
            sent=self.data[: self.sent],
            received=bytes(self.received),
            invoked_ns=self.invoked_ns,
            completed_ns=self.completed_ns,
            failure=self.failure,
            problem=self.problem,
            connection=connection,
            unsolicited=leading + reply.skipped + trailing,
            status=reply.status,
            headers=reply.headers,
            reply=None if self.reply is None else reply.text,
            extracted=reply.extracted,
            trailing_bytes=len(trailing),
        )


_NO_REPLY = ReplyFrame(b"")


class StreamClient:
    """An exchange.Client for one node. Not for use by several threads.

    `cacheable`: equal requests have equal bytes, and so have their replies.

    `repeatable`: verbs that are asked again, once, when the node closed an idle connection just as
    the request was sent. They change nothing at the node.
    """

    def __init__(
        self,
        codec: Codec,
        rules: Callable[[str], Sequence[ReplyRule]],
        host: str,
        port: int,
        *,
        persistent: bool = True,
        repeatable: Collection[str] = (),
        cacheable: bool = True,
    ) -> None:
        self._repeatable = frozenset(repeatable)
        self._cacheable = cacheable
        self._codec, self._rules = codec, rules
        self._host, self._port, self._persistent = host, port, persistent
        self._connection: Connection | None = None
        # The verbs to which a whole reply has arrived.
        self._replied: set[str] = set()

    @property
    def codec(self) -> Codec:
        return self._codec

    @property
    def rules(self) -> Callable[[str], Sequence[ReplyRule]]:
        return self._rules

    @property
    def persistent(self) -> bool:
        """Whether one connection carries request after request."""
        return self._persistent

    @property
    def cacheable(self) -> bool:
        """Whether the bytes of requests and replies may be remembered for others like them."""
        return self._persistent and self._cacheable

    def open_socket(self, deadline: float) -> socket.socket:
        """A new connection after greeting and handshake, for a caller that waits on many at once.

        The caller closes it. May be called in several threads. Raises ConnectionFailed
        `unreachable` or `reset`.
        """
        return self._open(deadline).detach()

    @property
    def opens_at_once(self) -> bool:
        """Whether a connection can be used without waiting for bytes of the node."""
        return self._codec.greeting() is None and not self._codec.handshake

    def ask(self, request: Request, timeout_s: float) -> Response:
        """Send one request and wait for its reply at most `timeout_s`, connecting included."""
        deadline, reused = time.monotonic() + timeout_s, self._connection
        exchange = self._exchange(self._round_trip(request), deadline)
        if reused is not None and self._was_closed_idle(request, exchange, reused.name):
            leading = exchange.unsolicited
            exchange = self._exchange(self._round_trip(request), deadline)
            exchange = replace(exchange, unsolicited=leading + exchange.unsolicited)
        return Response(exchange, *classify(self._rules(request.verb), exchange))

    def _round_trip(self, request: Request) -> _RoundTrip:
        return _RoundTrip(request.verb, self._codec.encode(request), request.when_sent)

    def _was_closed_idle(self, request: Request, exchange: Exchange, reused: str) -> bool:
        """Whether the close of an idle connection crossed a request that may be asked again."""
        return (
            request.verb in self._repeatable
            and request.payload is None
            and request.when_sent is None
            and exchange.connection == reused
            and exchange.failure in {"closed", "reset"}
            and not exchange.received
        )

    def close(self) -> bytes:
        """Close the connection; return the bytes that had arrived without a request."""
        connection, self._connection = self._connection, None
        if connection is None:
            return b""
        unsolicited, peer_closed = connection.unsolicited()
        connection.close(peer_closed=peer_closed)
        return unsolicited

    def _exchange(self, round_trip: _RoundTrip, deadline: float) -> Exchange:
        leading, trailing, name = self._read_leading(), b"", ""
        try:
            connection = self._connection = self._connection or self._open(deadline)
        except ConnectionFailed as error:
            round_trip.fail(error.failure, error.problem)
            round_trip.completed_ns = time.monotonic_ns()
        else:
            name = connection.name
            self._send_and_receive(connection, round_trip, deadline)
            trailing = self._read_trailing(connection, round_trip)
        return round_trip.exchange(name, leading, trailing)

    def _send_and_receive(
        self, connection: Connection, round_trip: _RoundTrip, deadline: float
    ) -> None:
        decoder = self._codec.decoder(round_trip.verb, round_trip.data)
        round_trip.invoked_ns = time.monotonic_ns()
        try:
            _transfer(connection, decoder, round_trip, deadline)
        except ConnectionFailed as error:
            round_trip.fail(error.failure, f"{error.problem} (still to come: {decoder.missing})")
        except Oversize as error:
            round_trip.fail("oversize", str(error))
        except Malformed as error:
            round_trip.fail("malformed", str(error))
        except BaseException:
            # Interrupted: the reply may still arrive, and must not meet a later request.
            self._drop()
            raise
        round_trip.completed_ns = time.monotonic_ns()

    def _read_leading(self) -> bytes:
        """Unsolicited bytes before a request. Closes the connection if there are any, or if it
        ended.

        Nothing has been sent yet, so a new connection is safe.
        """
        if self._connection is None:
            return b""
        unsolicited, peer_closed = self._connection.unsolicited()
        if unsolicited:
            self._persistent = False
        if unsolicited or peer_closed:
            self._drop(peer_closed=peer_closed)
        return unsolicited

    def _read_trailing(self, connection: Connection, round_trip: _RoundTrip) -> bytes:
        """Unsolicited bytes after a reply. Closes the connection if no other request can use it."""
        rest = round_trip.reply.rest if round_trip.reply else b""
        self._persistent = self._persistent and not rest
        first = round_trip.verb not in self._replied
        if round_trip.reusable and self._persistent and not first:
            return b""
        trailing, peer_closed = b"", False
        if round_trip.reusable:
            self._replied.add(round_trip.verb)
            trailing, peer_closed = connection.wait_unsolicited(SECOND_REPLY_S if first else 0.0)
        self._persistent = self._persistent and not trailing
        if peer_closed or not round_trip.reusable or not self._persistent:
            self._drop(peer_closed=peer_closed)
        return rest + trailing

    def _drop(self, *, peer_closed: bool = False) -> None:
        if self._connection is not None:
            self._connection.close(peer_closed=peer_closed)
            self._connection = None

    def _open(self, deadline: float) -> Connection:
        """A new connection after greeting and handshake.

        Raises ConnectionFailed `unreachable`: no request was sent. A reset is `reset`, unless
        something goes before the first request: then it was certainly not sent.
        """
        greeting = self._codec.greeting()
        try:
            connection = open_connection(self._host, self._port, deadline)
        except ConnectionFailed as error:
            if self.opens_at_once:
                raise
            raise ConnectionFailed("unreachable", error.problem) from None
        try:
            if greeting is not None:
                _prelude(connection, b"", greeting, deadline)
            for step in self._codec.handshake:
                reply = _prelude(
                    connection, step.send, self._codec.decoder("", step.send), deadline
                )
                text = reply.text.decode("utf-8", "surrogateescape")
                if not search(step.expect, text):
                    sent, received = format_bytes(step.send), format_bytes(reply.text)
                    raise Malformed(f"the handshake {sent} was answered {received}")
        except (ConnectionFailed, Oversize, Malformed) as error:
            connection.close()
            problem = f"{BEFORE_THE_REQUEST}: {error}"
            raise ConnectionFailed("unreachable", problem) from None
        except BaseException:
            connection.close()
            raise
        return connection


def _transfer(
    connection: Connection, decoder: Decoder, round_trip: _RoundTrip, deadline: float
) -> None:
    """Send and receive at the same time, so that neither side blocks the other."""
    data, writing, late = memoryview(round_trip.data), True, 0
    while round_trip.reply is None:
        if writing:
            try:
                round_trip.sent += connection.send_some(data[round_trip.sent :])
                writing = round_trip.sent < len(data)
                if not writing and round_trip.when_sent:
                    round_trip.when_sent()
            except ConnectionFailed:
                # What the peer sent before the connection broke may still be there to read.
                writing = False
        if connection.wait(deadline, writing=writing):
            _receive(connection, decoder, round_trip)
            late += time.monotonic() > deadline
            if late > LATE_PIECES_MAX and round_trip.reply is None:
                raise ConnectionFailed("timeout", "bytes arrive without end, and no whole reply")


def _receive(connection: Connection, decoder: Decoder, round_trip: _RoundTrip) -> None:
    chunk = connection.receive()
    round_trip.received += chunk
    round_trip.reply = decoder.feed(chunk) if chunk else decoder.finish()
    if not chunk and round_trip.reply is None:
        problem = "the node closed the connection before its reply was whole"
        raise ConnectionFailed("closed", problem)


def _prelude(connection: Connection, data: bytes, decoder: Decoder, deadline: float) -> ReplyFrame:
    """A round trip before the first request: the greeting, or a step of the handshake."""
    round_trip = _RoundTrip("", data)
    _transfer(connection, decoder, round_trip, deadline)
    # _transfer returns with a reply or raises.
    assert round_trip.reply is not None
    if round_trip.reply.rest:
        rest, text = format_bytes(round_trip.reply.rest), format_bytes(round_trip.reply.text)
        raise Malformed(f"unsolicited bytes {rest} came behind {text}")
    return round_trip.reply
