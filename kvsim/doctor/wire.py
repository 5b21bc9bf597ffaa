"""Bytes to and from a patient, cut and timed as an examination wants them. Only for protocols whose bytes kvsim writes itself."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from kvsim.client.codec import Codec, Malformed, Oversize, Reply
from kvsim.client.exchange import Request
from kvsim.client.stream import StreamClient
from kvsim.client.wire import Broken
from kvsim.doctor.patient import Ward
from kvsim.errors import UsageError
from kvsim.waiting import Deadline, TimedOut, wait_until

WAIT_S = 3.0
BEHIND_S = 0.1
DEATH_S = 0.5
UNKNOWN_BYTES = "kvsim does not write this program's bytes itself (speak: command, or a class of its own)"


class NoReply(Exception):
    """What happened instead of a whole reply, in words."""


def codec_of(ward: Ward) -> Codec | None:
    """The program's codec, or None when its bytes are not kvsim's to write."""
    client = ward.client()
    return client.codec if isinstance(client, StreamClient) else None


@contextlib.contextmanager
def connection(ward: Ward) -> Iterator[socket.socket]:
    """A connection, greeted and shaken where the protocol wants it. Raises NoReply when there is none."""
    client = ward.client()
    try:
        if isinstance(client, StreamClient):
            opened = client.hand_over(time.monotonic() + WAIT_S)
        else:
            opened = socket.create_connection(ward.node.address, WAIT_S)
    except (OSError, Broken) as error:
        raise NoReply(f"no connection: {error}") from error
    with opened:
        opened.settimeout(WAIT_S)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield opened


def encode(codec: Codec | None, verb: str, **fields: str) -> bytes:
    """A request's bytes; half a sentence in no language where there is no codec."""
    return codec.encode(Request(verb, fields)) if codec else b"put doctor some of a requ"


def replies(opened: socket.socket, codec: Codec, verbs: Sequence[str]) -> list[Reply]:
    """One reply for each verb, in order. Raises NoReply."""
    found: list[Reply] = []
    data = b""
    deadline = time.monotonic() + WAIT_S
    for verb in verbs:
        decoder = codec.decoder(verb)
        reply = _fed(decoder, data) if data else None
        while reply is None:
            reply = _fed(decoder, _more(opened, deadline, len(found)))
        found.append(reply)
        data = reply.rest
    return found


def _fed(decoder, data: bytes) -> Reply | None:
    try:
        return decoder.feed(data)
    except (Malformed, Oversize) as error:
        raise NoReply(str(error)) from error


def _more(opened: socket.socket, deadline: float, so_far: int) -> bytes:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise NoReply(f"only {so_far} whole replies within {WAIT_S:g}s")
    opened.settimeout(left_s)
    try:
        data = opened.recv(1 << 16)
    except TimeoutError:
        raise NoReply(f"only {so_far} whole replies within {WAIT_S:g}s") from None
    except OSError as error:
        raise NoReply(f"{error.strerror or error} after {so_far} whole replies") from error
    if not data:
        raise NoReply(f"it closed the connection after {so_far} whole replies")
    return data


def vanish(opened: socket.socket) -> None:
    """Close with a reset, as a client that was killed."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    opened.close()


def more_came(opened: socket.socket, last: Reply) -> bool:
    """Whether anything came behind the last reply that was asked for."""
    opened.settimeout(BEHIND_S)
    try:
        return bool(last.rest or opened.recv(1))
    except OSError:
        return False


def still_serves(ward: Ward) -> str:
    """Empty when the node lives and answers a new client; else what is wrong, in words."""
    verb = "ping" if "ping" in ward.node.program.requests else "get"
    try:
        answer = ward.ask(verb, **({"key": "doctor"} if verb == "get" else {}))
    except UsageError as error:
        return str(error)
    if answer.outcome.answered:
        return ""
    with contextlib.suppress(TimedOut):  # a death takes a moment to be seen
        wait_until(lambda: not ward.node.up, Deadline.after(DEATH_S), "its death")
        return f"the node {ward.node.process.poll().describe()}; {ward.node.last_lines(4)}"
    return f"a new client's {verb} got {answer.outcome.detail or answer.outcome.reason}"
