"""A client for any protocol over a connection: it joins a codec (what the bytes mean) to a wire (how they
travel).

Its one promise: the reply it hands back belongs to the request it sent. After a failure the connection is
thrown away, and before each request whatever had arrived unasked is reported as `unsolicited` and costs the
connection too. Behind the first reply of each verb it listens a moment longer, because a server that answers
twice does so from the start; a server that once spoke unasked gets a new connection for every later request.
What no client can tell is an unasked answer that arrives between sending and the true reply; the true reply
is then found unasked and reported with the next request.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kvsim.client.codec import Codec, Decoder, Malformed, Oversize, Reply
from kvsim.client.exchange import Answer, Exchange, Request
from kvsim.client.outcomes import classify, show
from kvsim.client.wire import Broken, Wire, dial
from kvsim.config.program import Rule

LINGER_S = 0.002


@dataclass
class _Trip:
    """One request under way: what has been done so far, whatever happens next."""

    verb: str
    data: bytes
    when_sent: Callable[[], None] | None = None
    sent: int = 0
    received: bytearray = field(default_factory=bytearray)
    reply: Reply | None = None
    invoked_ns: int = field(default_factory=time.monotonic_ns)
    completed_ns: int = 0
    failure: str | None = None
    problem: str = ""

    def fail(self, failure: str, problem: str) -> None:
        self.failure, self.problem = failure, problem

    @property
    def clean(self) -> bool:
        """Whether the connection can be used again."""
        whole = self.reply is not None and not self.reply.last
        return whole and self.failure is None and self.sent == len(self.data)

    def exchange(self, connection: str, before: bytes, behind: bytes) -> Exchange:
        """The record of it. `before` and `behind` came unasked, before the request and behind the reply."""
        reply = self.reply or _NOTHING
        return Exchange(
            verb=self.verb,
            sent=self.data[: self.sent],
            received=bytes(self.received),
            invoked_ns=self.invoked_ns,
            completed_ns=self.completed_ns,
            failure=self.failure,
            problem=self.problem,
            connection=connection,
            unsolicited=before + behind,
            status=reply.status,
            headers=reply.headers,
            reply=None if self.reply is None else reply.text,
            extracted=reply.extracted,
            surplus=len(behind),
        )


_NOTHING = Reply(b"")


class StreamClient:
    """A client.Client for one node. Not for use by several threads."""

    def __init__(
        self,
        codec: Codec,
        rules: Callable[[str], Sequence[Rule]],
        host: str,
        port: int,
        *,
        lasting: bool = True,
    ) -> None:
        self._codec, self._rules = codec, rules
        self._host, self._port, self._lasting = host, port, lasting
        self._wire: Wire | None = None
        self._answered: set[str] = set()  # verbs of which a whole reply has been seen

    @property
    def codec(self) -> Codec:
        return self._codec

    @property
    def rules(self) -> Callable[[str], Sequence[Rule]]:
        return self._rules

    @property
    def lasting(self) -> bool:
        """Whether one connection carries request after request."""
        return self._lasting

    def hand_over(self, deadline: float) -> socket.socket:
        """A new connection, greeted and shaken, for somebody who waits on many at once and closes it himself.

        Raises Broken `unreachable`.
        """
        wire, self._wire = self._open(deadline), None
        return wire.detached()

    def ask(self, request: Request, timeout_s: float) -> Answer:
        """Send one request and wait for its reply at most `timeout_s`, connecting included."""
        data = self._codec.encode(request)
        exchange = self._exchange(_Trip(request.verb, data, request.when_sent), time.monotonic() + timeout_s)
        return Answer(exchange, *classify(self._rules(request.verb), exchange))

    def close(self) -> bytes:
        """Close the connection; return bytes that had arrived unasked."""
        wire, self._wire = self._wire, None
        if wire is None:
            return b""
        unasked, gone = wire.unasked()
        wire.close(gone=gone)
        return unasked

    def _exchange(self, trip: _Trip, deadline: float) -> Exchange:
        before, behind, connection = self._clear(), b"", ""
        try:
            wire = self._wire or self._open(deadline)
        except Broken as broken:
            trip.fail(broken.failure, broken.problem)
            trip.completed_ns = time.monotonic_ns()
        else:
            connection = wire.name
            self._travel(wire, trip, deadline)
            behind = self._release(wire, trip)
        return trip.exchange(connection, before, behind)

    def _travel(self, wire: Wire, trip: _Trip, deadline: float) -> None:
        """There and back on an open connection."""
        decoder = self._codec.decoder(trip.verb)
        trip.invoked_ns = time.monotonic_ns()
        try:
            _carry(wire, decoder, trip, deadline)
        except Broken as broken:
            trip.fail(broken.failure, f"{broken.problem} (still to come: {decoder.wants})")
        except Oversize as error:
            trip.fail("oversize", str(error))
        except Malformed as error:
            trip.fail("malformed", str(error))
        except BaseException:
            self._drop()  # interrupted: the reply may still come, and must not find a later request waiting
            raise
        trip.completed_ns = time.monotonic_ns()

    def _clear(self) -> bytes:
        """Make sure that nothing old is on the connection. An end seen here is before sending: a new
        connection is safe.
        """
        if self._wire is None:
            return b""
        unasked, gone = self._wire.unasked()
        if unasked:
            self._lasting = False
        if unasked or gone:
            self._drop(gone=gone)
        return unasked

    def _release(self, wire: Wire, trip: _Trip) -> bytes:
        """After an exchange: keep the connection or throw it away. Returns what came behind the reply until
        then.
        """
        rest = trip.reply.rest if trip.reply else b""
        self._lasting = self._lasting and not rest
        first = trip.verb not in self._answered
        if trip.clean and self._lasting and not first:
            return b""
        behind, gone = wire.linger(LINGER_S if first else 0.0) if trip.clean else (b"", False)
        self._lasting = self._lasting and not behind
        if trip.clean:
            self._answered.add(trip.verb)
        if gone or not trip.clean or not self._lasting:
            self._drop(gone=gone)
        return rest + behind

    def _drop(self, *, gone: bool = False) -> None:
        if self._wire is not None:
            self._wire.close(gone=gone)
            self._wire = None

    def _open(self, deadline: float) -> Wire:
        """A new connection, greeted and shaken. Raises Broken `unreachable`: no request was sent yet."""
        self._wire = wire = dial(self._host, self._port, deadline)
        try:
            greeting = self._codec.greeting()
            if greeting is not None:
                _prelude(wire, b"", greeting, deadline)
            for shake in self._codec.handshake:
                reply = _prelude(wire, shake.send, self._codec.decoder(""), deadline)
                if not re.search(shake.expect, reply.text.decode("utf-8", "surrogateescape"), re.DOTALL):
                    raise Malformed(f"the handshake {show(shake.send)} was answered {show(reply.text)}")
        except (Broken, Oversize, Malformed) as error:
            self._drop()
            raise Broken("unreachable", f"connected, but before the request could be sent: {error}") from None
        return wire


def _carry(wire: Wire, decoder: Decoder, trip: _Trip, deadline: float) -> None:
    """Send the request and receive until the reply is whole, both at once, so that neither side can wait for
    the other.
    """
    view, writing = memoryview(trip.data), True
    while trip.reply is None:
        if writing:
            try:
                trip.sent += wire.send_some(view[trip.sent :])
                writing = trip.sent < len(view)
                if not writing and trip.when_sent:
                    trip.when_sent()
            except Broken:
                writing = False  # what the peer said before it broke may still be there to read
        if wire.wait(deadline, writing=writing):
            _receive(wire, decoder, trip)


def _receive(wire: Wire, decoder: Decoder, trip: _Trip) -> None:
    chunk = wire.receive()
    trip.received += chunk
    trip.reply = decoder.feed(chunk) if chunk else decoder.finish()
    if not chunk and trip.reply is None:
        raise Broken("closed", "the node closed the connection before its reply was whole")


def _prelude(wire: Wire, data: bytes, decoder: Decoder, deadline: float) -> Reply:
    trip = _Trip("", data)
    _carry(wire, decoder, trip, deadline)
    assert trip.reply is not None  # _carry returns with a reply or raises
    if trip.reply.rest:
        raise Malformed(f"{show(trip.reply.rest)} came behind {show(trip.reply.text)}, unasked")
    return trip.reply
