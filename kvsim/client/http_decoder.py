"""Cut one HTTP/1 response out of bytes that come in any pieces (RFC 9112). Pure; knows no request but whether
it was HEAD.

Understands Content-Length, chunked bodies, bodies that end with the connection, and interim (1xx) responses.
No HTTP/2, no compression: the client never asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvsim.client.codec import Malformed, Reply, too_long
from kvsim.client.outcomes import show

HEAD_BYTES_MAX = 64 * 1024
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) (\d{3})(?: .*)?")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?")
BODILESS = frozenset({204, 304})

Extract = Callable[[bytes, Mapping[str, str]], Mapping[str, str | None]]


@dataclass(frozen=True)
class Head:
    """The status line and the headers (names in lower case; repeated ones joined by a comma)."""

    version: str
    status: int
    headers: Mapping[str, str]

    @property
    def last(self) -> bool:
        """Whether the connection ends after this response."""
        words = {word.strip().lower() for word in self.headers.get("connection", "").split(",")}
        return "close" in words or (self.version == "1.0" and "keep-alive" not in words)


class HttpDecoder:
    """One response. `bodiless`: the request was HEAD. `extract` takes the values out of body and headers."""

    def __init__(self, limit: int, extract: Extract, *, bodiless: bool = False) -> None:
        self._limit, self._extract, self._bodiless = limit, extract, bodiless
        self._buffer = bytearray()
        self._at = 0  # everything before has been understood
        self._body = bytearray()
        self._head: Head | None = None
        self._step: Callable[[], bool | None] = self._read_head
        self._length = 0

    def feed(self, data: bytes) -> Reply | None:
        self._buffer += data
        while (done := self._step()) is False:
            pass
        if len(self._body) > self._limit or (done is None and len(self._buffer) - self._at > self._limit):
            raise too_long(self._limit)
        return self._reply() if done else None

    def finish(self) -> Reply | None:
        return self._reply(last=True) if self._step == self._until_close else None

    @property
    def wants(self) -> str:
        if self._head is None:
            return "the empty line that ends an HTTP head"
        return "the end of the connection" if self._step == self._until_close else "the rest of the HTTP body"

    # Each step returns True when the response is whole, False to go on at once, None to wait for more bytes.

    def _read_head(self) -> bool | None:
        match = _HEAD_END.search(self._buffer, self._at)
        if (match.start() if match else len(self._buffer)) - self._at > HEAD_BYTES_MAX:
            raise Malformed(f"an HTTP head of more than {HEAD_BYTES_MAX} bytes")
        if match is None:
            self._check_start()
            return None
        head = parse_head(bytes(self._buffer[self._at : match.start()]))
        self._at = match.end()
        if 100 <= head.status < 200:
            return False
        self._head = head
        return self._choose_body(head)

    def _check_start(self) -> None:
        """Say at once that this is no HTTP, rather than wait for the end of a head that never comes."""
        start = bytes(self._buffer[self._at : self._at + 5])
        if not b"HTTP/".startswith(start):
            raise Malformed(f"{show(bytes(self._buffer[self._at :]), 80)} is no HTTP response")

    def _choose_body(self, head: Head) -> bool:
        coding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
        if self._bodiless or head.status in BODILESS:
            return True
        if coding is not None:
            if coding.strip().lower() != "chunked":
                raise Malformed(f"a transfer encoding kvsim does not know: {coding}")
            self._step = self._chunk_size
        elif length is not None:
            self._length = self._checked_length(length)
            self._step = self._sized
        else:
            self._step = self._until_close
        return False

    def _checked_length(self, length: str) -> int:
        same = {word.strip() for word in length.split(",")}
        word = same.pop()
        if same or not word.isascii() or not word.isdecimal() or len(word) > 18:
            raise Malformed(f"Content-Length: {length}")
        if int(word) > self._limit:
            raise too_long(self._limit)
        return int(word)

    def _sized(self) -> bool | None:
        return True if self._take(self._length) else None

    def _until_close(self) -> None:
        self._body += self._buffer[self._at :]
        self._at = len(self._buffer)

    def _chunk_size(self) -> bool | None:
        line = self._line()
        if line is None:
            return None
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise Malformed(f"{show(line)} is no size of a chunk")
        self._length = int(match.group(1), 16)
        if self._length > self._limit:
            raise too_long(self._limit)
        self._step = self._chunk if self._length else self._trailer
        return False

    def _chunk(self) -> bool | None:
        if not self._take(self._length):
            return None
        self._step = self._chunk_end
        return False

    def _chunk_end(self) -> bool | None:
        line = self._line()
        if line:
            raise Malformed("a chunk is longer than it said")
        if line is None:
            return None
        self._step = self._chunk_size
        return False

    def _trailer(self) -> bool | None:
        line = self._line()
        return None if line is None else not line

    def _take(self, size: int) -> bool:
        """Move `size` bytes to the body when all have come."""
        if len(self._buffer) - self._at < size:
            return False
        self._body += self._buffer[self._at : self._at + size]
        self._at += size
        return True

    def _line(self) -> bytes | None:
        stop = self._buffer.find(b"\n", self._at)
        if (len(self._buffer) if stop < 0 else stop) - self._at > HEAD_BYTES_MAX:
            raise Malformed(f"a line of more than {HEAD_BYTES_MAX} bytes between chunks")
        if stop < 0:
            return None
        line = bytes(self._buffer[self._at : stop]).removesuffix(b"\r")
        self._at = stop + 1
        return line

    def _reply(self, *, last: bool = False) -> Reply:
        head, body = self._head or Head("1.1", 0, {}), bytes(self._body)
        rest = bytes(self._buffer[self._at :])
        found = self._extract(body, head.headers)
        return Reply(body, rest, head.status, head.headers, found, last or head.last)


def parse_head(data: bytes) -> Head:
    """The status line and headers. Raises Malformed."""
    first, *lines = data.replace(b"\r\n", b"\n").split(b"\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise Malformed(f"{show(first, 80)} is no HTTP response")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise Malformed(f"{show(line, 80)} is no HTTP header")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(match.group(1).decode(), int(match.group(2)), headers)
