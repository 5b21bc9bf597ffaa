"""Requests as bytes that a diagnostic splits, joins, times or cuts off.

Only for requests whose bytes kvsim writes itself, one at a time (`codec_of` gives None for the
others).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from msgspec import Struct

from kvsim.client.codec import Codec, Decoder, Malformed, Oversize, ReplyFrame
from kvsim.client.composition import ComposedClient
from kvsim.client.connection import ConnectionFailed
from kvsim.client.exchange import Client, Exchange, Request
from kvsim.client.outcomes import classify
from kvsim.client.stream import StreamClient
from kvsim.config.request_forms import SEND, form_of
from kvsim.doctor.program_under_test import RunningProgram
from kvsim.errors import UsageError
from kvsim.history.outcome import NODE_REFUSALS, Outcome, OutcomeKind
from kvsim.waiting import Deadline, TimedOut, wait_until

TRAILING_WAIT_S = 0.1
# The kernel ends a connection some time before it reports the death of the process.
DEATH_WAIT_S = 0.5
# A listener may be gone some time after the connection that did it.
LISTENER_WAIT_S = 1.2
NOT_ITS_BYTES = (
    "kvsim does not write this program's bytes itself (`speak: command`, or a class of the user's)"
)


class NoReply(Exception):
    """What happened instead of a complete reply, as a sentence."""


class Trouble(Struct, frozen=True):
    """Why a node does not answer a new client, as a clause. `crash`: how it ended, if it did."""

    text: str
    crash: str = ""

    def __str__(self) -> str:
        return self.text


def stream_of(running: RunningProgram, verb: str) -> StreamClient | None:
    """The client whose bytes are those of this request; None: there is none."""
    client: Client | None = running.client()
    if isinstance(client, ComposedClient):
        client = client.client_of(verb)
    return client if isinstance(client, StreamClient) else None


def codec_of(running: RunningProgram, verb: str = "get") -> Codec | None:
    """The codec of a request, or None when kvsim does not write its bytes as one request."""
    client = stream_of(running, verb)
    return None if client is None else client.codec


def why_no_codec(running: RunningProgram) -> str:
    """Why a get has no codec."""
    form = form_of(running.node.program.requests.get("get"))
    if form in (None, SEND):
        return NOT_ITS_BYTES
    return f"its `get` is made of several requests (`{form}`): there is no one request to split"


@contextlib.contextmanager
def open_connection(running: RunningProgram, verb: str = "get") -> Iterator[socket.socket]:
    """A connection after greeting and handshake. Raises NoReply when it is impossible."""
    client, timeout_s = stream_of(running, verb), running.timeout_s
    try:
        if client is not None:
            connection = client.open_socket(time.monotonic() + timeout_s)
        else:
            connection = socket.create_connection(running.node.address.host_port, timeout_s)
    except (OSError, ConnectionFailed) as error:
        raise NoReply(f"no connection: {error}") from error
    with connection:
        connection.settimeout(timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def encode(codec: Codec | None, verb: str, **fields: str) -> bytes:
    """A request's bytes; part of a request in no protocol where there is no codec."""
    return codec.encode(Request(verb, fields)) if codec else b"put doctor some of a requ"


def read_replies(
    connection: socket.socket, codec: Codec, verbs: Sequence[str], timeout_s: float
) -> list[ReplyFrame]:
    """One reply for each verb, in order, all within `timeout_s`. Raises NoReply."""
    replies: list[ReplyFrame] = []
    data = b""
    deadline = Deadline.after(timeout_s)
    for verb in verbs:
        decoder = codec.decoder(verb)
        reply = _feed(decoder, data) if data else None
        while reply is None:
            reply = _feed(decoder, _receive(connection, deadline, len(replies)))
        replies.append(reply)
        data = reply.rest
    return replies


def _feed(decoder: Decoder, data: bytes) -> ReplyFrame | None:
    try:
        return decoder.feed(data)
    except (Malformed, Oversize) as error:
        raise NoReply(str(error)) from error


def _receive(connection: socket.socket, deadline: Deadline, replies_count: int) -> bytes:
    late = NoReply(f"only {replies_count} whole replies within {deadline.timeout_s:g}s")
    left_s = deadline.left_s()
    if left_s <= 0:
        raise late
    connection.settimeout(left_s)
    try:
        data = connection.recv(1 << 16)
    except TimeoutError:
        raise late from None
    except OSError as error:
        raise NoReply(f"{error.strerror or error} after {replies_count} whole replies") from error
    if not data:
        raise NoReply(f"it closed the connection after {replies_count} whole replies")
    return data


def reset(connection: socket.socket) -> None:
    """Close with a TCP reset, as the kernel does for a client that was killed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def has_trailing_bytes(connection: socket.socket, last: ReplyFrame) -> bool:
    """Whether bytes follow the last reply that was requested."""
    connection.settimeout(TRAILING_WAIT_S)
    try:
        return bool(last.rest or connection.recv(1))
    except OSError:
        return False


def outcome_of(running: RunningProgram, verb: str, reply: ReplyFrame) -> Outcome:
    """The outcome of a reply to raw bytes, by the program's rules."""
    client = stream_of(running, verb)
    assert client is not None, "a request with a codec"
    exchange = Exchange(
        verb=verb,
        sent=b"",
        received=reply.text,
        invoked_ns=0,
        completed_ns=0,
        status=reply.status,
        headers=reply.headers,
        reply=reply.text,
        extracted=reply.extracted,
    )
    return classify(client.rules(verb), exchange)[0]


def why_not_serving(running: RunningProgram, *, later: bool = False) -> Trouble | None:
    """Why the node does not answer a new client; None when it does.

    `later`: ask twice, the second time when a listener that is going away is gone.
    """
    trouble = _why_not_answering(running)
    if trouble is not None or not later:
        return trouble
    with contextlib.suppress(TimedOut):
        wait_until(lambda: not running.node.up, Deadline.after(LISTENER_WAIT_S), "its end")
    return _why_not_answering(running)


def _why_not_answering(running: RunningProgram) -> Trouble | None:
    verb = "ping" if "ping" in running.node.program.requests else "get"
    try:
        response = running.ask(verb, {"key": "doctor"} if verb == "get" else {})
    except UsageError as error:
        return Trouble(str(error))
    if is_answer(response.outcome):
        return None
    crash = end_of(running)
    if crash is not None:
        return crash
    outcome = response.outcome
    return Trouble(f"a new client's {verb} got {outcome.detail or outcome.reason}")


def is_answer(outcome: Outcome) -> bool:
    """Whether the node itself answered: an outcome that is unknown is no answer."""
    return outcome.kind is OutcomeKind.OK or outcome.reason in NODE_REFUSALS


def end_of(running: RunningProgram) -> Trouble | None:
    """How the node ended; None when it still runs some time later."""
    with contextlib.suppress(TimedOut):
        wait_until(lambda: not running.node.up, Deadline.after(DEATH_WAIT_S), "its end")
    ended = running.process.poll()
    if ended is None:
        return None
    lines = running.node.log.last(1)
    crash = f"{ended.describe()}{f', after {lines[0].strip()!r}' if lines else ''}"
    return Trouble(f"the node {ended.describe()}; {running.node.last_lines(4)}", crash)
