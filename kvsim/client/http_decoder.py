"""Decode an HTTP/1 response from bytes that arrive in any pieces (RFC 9112).

Of the request it knows only whether it was HEAD. Understands Content-Length, chunked bodies,
bodies that end with the connection, and interim (1xx) responses. No HTTP/2. No compression: kvsim
never asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from kvsim.client.codec import Malformed, ReplyFrame, too_long
from kvsim.client.outcomes import format_bytes

HEAD_BYTES_MAX = 64 * 1024
# The most digits of a Content-Length.
LENGTH_DIGITS_MAX = 18
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) (\d{3})(?: .*)?")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?")
NO_BODY_STATUSES = frozenset({204, 304})

# From the body and the headers, the values in them.
Extract = Callable[[bytes, Mapping[str, str]], Mapping[str, str | None]]


class Head(Struct, frozen=True):
    """The status line and the headers: names in lower case, repeated ones joined by a comma."""

    version: str
    status: int
    headers: Mapping[str, str]

    @property
    def last(self) -> bool:
        """Whether the connection ends after this response."""
        words = {word.strip().lower() for word in self.headers.get("connection", "").split(",")}
        return "close" in words or (self.version == "1.0" and "keep-alive" not in words)


class HttpDecoder:
    """A codec.Decoder of one response.

    `no_body`: the request was HEAD. `extract` reads values from body and headers.
    """

    def __init__(self, limit: int, extract: Extract, *, no_body: bool = False) -> None:
        self._limit, self._extract, self._no_body = limit, extract, no_body
        self._buffer = bytearray()
        # Everything before has been decoded.
        self._position = 0
        self._body = bytearray()
        self._head: Head | None = None
        self._step: Callable[[], bool | None] = self._read_head
        self._length = 0

    def feed(self, data: bytes) -> ReplyFrame | None:
        self._buffer += data
        while (done := self._step()) is False:
            pass
        if len(self._body) > self._limit or (
            done is None and len(self._buffer) - self._position > self._limit
        ):
            raise too_long(self._limit)
        return self._reply() if done else None

    def finish(self) -> ReplyFrame | None:
        return self._reply(last=True) if self._step == self._read_until_close else None

    @property
    def missing(self) -> str:
        if self._head is None:
            return "the empty line that ends an HTTP head"
        if self._step == self._read_until_close:
            return "the end of the connection"
        return "the rest of the HTTP body"

    # A step returns True when the response is whole, False to go on, None to wait for bytes.

    def _read_head(self) -> bool | None:
        match = _HEAD_END.search(self._buffer, self._position)
        if (match.start() if match else len(self._buffer)) - self._position > HEAD_BYTES_MAX:
            raise Malformed(f"an HTTP head of more than {HEAD_BYTES_MAX} bytes")
        if match is None:
            self._check_start()
            return None
        head = parse_head(bytes(self._buffer[self._position : match.start()]))
        self._position = match.end()
        if 100 <= head.status < 200:
            return False
        self._head = head
        return self._begin_body(head)

    def _check_start(self) -> None:
        """Raise Malformed at once, so that no caller waits for the end of such a head."""
        start = bytes(self._buffer[self._position : self._position + 5])
        if not b"HTTP/".startswith(start):
            raise Malformed(
                f"{format_bytes(bytes(self._buffer[self._position :]), 80)} is no HTTP response"
            )

    def _begin_body(self, head: Head) -> bool:
        coding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
        if self._no_body or head.status in NO_BODY_STATUSES:
            return True
        if coding is not None:
            if coding.strip().lower() != "chunked":
                raise Malformed(f"a transfer encoding kvsim does not know: {coding}")
            self._step = self._read_chunk_size
        elif length is not None:
            self._length = self._checked_length(length)
            self._step = self._read_sized
        else:
            self._step = self._read_until_close
        return False

    def _checked_length(self, length: str) -> int:
        same = {word.strip() for word in length.split(",")}
        word = same.pop()
        if same or not word.isascii() or not word.isdecimal() or len(word) > LENGTH_DIGITS_MAX:
            raise Malformed(f"Content-Length: {length}")
        if int(word) > self._limit:
            raise too_long(self._limit)
        return int(word)

    def _read_sized(self) -> bool | None:
        return True if self._take(self._length) else None

    def _read_until_close(self) -> None:
        self._body += self._buffer[self._position :]
        self._position = len(self._buffer)

    def _read_chunk_size(self) -> bool | None:
        line = self._take_line()
        if line is None:
            return None
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise Malformed(f"{format_bytes(line)} is no size of a chunk")
        self._length = int(match.group(1), 16)
        if self._length > self._limit:
            raise too_long(self._limit)
        self._step = self._read_chunk if self._length else self._read_trailer
        return False

    def _read_chunk(self) -> bool | None:
        if not self._take(self._length):
            return None
        self._step = self._read_chunk_end
        return False

    def _read_chunk_end(self) -> bool | None:
        line = self._take_line()
        if line:
            raise Malformed("a chunk is longer than it announced")
        if line is None:
            return None
        self._step = self._read_chunk_size
        return False

    def _read_trailer(self) -> bool | None:
        line = self._take_line()
        return None if line is None else not line

    def _take(self, size: int) -> bool:
        """Move `size` bytes to the body; False: they have not all arrived."""
        if len(self._buffer) - self._position < size:
            return False
        self._body += self._buffer[self._position : self._position + size]
        self._position += size
        return True

    def _take_line(self) -> bytes | None:
        stop = self._buffer.find(b"\n", self._position)
        if (len(self._buffer) if stop < 0 else stop) - self._position > HEAD_BYTES_MAX:
            raise Malformed(f"a line of more than {HEAD_BYTES_MAX} bytes between chunks")
        if stop < 0:
            return None
        line = bytes(self._buffer[self._position : stop]).removesuffix(b"\r")
        self._position = stop + 1
        return line

    def _reply(self, *, last: bool = False) -> ReplyFrame:
        head, body = self._head or Head("1.1", 0, {}), bytes(self._body)
        rest = bytes(self._buffer[self._position :])
        found = self._extract(body, head.headers)
        return ReplyFrame(body, rest, head.status, head.headers, found, last or head.last)


def parse_head(data: bytes) -> Head:
    """The status line and headers. Raises Malformed."""
    first, *lines = data.replace(b"\r\n", b"\n").split(b"\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise Malformed(f"{format_bytes(first, 80)} is no HTTP response")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed(f"{format_bytes(line, 80)} is no HTTP header")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(match.group(1).decode(), int(match.group(2)), headers)
