"""The protocol of Redis, RESP2.

https://redis.io/docs/latest/develop/reference/protocol-spec/

A request is a list of words, `[SET, "{key}", "{value}"]`, or a text that is cut at spaces before
its fields are filled in. A word carries any bytes. The outcome rules read the reply as text, one
element per line:

| reply | text |
| --- | --- |
| simple string, error, integer | unchanged: `+OK`, `-READONLY You can't …`, `:1` |
| bulk string | `$` and the bytes: `$value` |
| null (bulk or array) | `_` |
| array | `*` and its length, then its elements, each on its own line |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kvsim.client.codec import (
    CONNECTION,
    PORT,
    REPLY_MAX_BYTES,
    HandshakeStep,
    Malformed,
    Oversize,
    ReplyFrame,
    too_long,
)
from kvsim.client.exchange import Request
from kvsim.client.outcomes import format_bytes, rules_of
from kvsim.client.settings import (
    SettingValues,
    handshake_of,
    language,
    read_plain,
    read_settings,
    table,
)
from kvsim.client.stream import StreamClient
from kvsim.client.templates import Template, UnknownVerb, compile_template, request_in
from kvsim.config.program import Program
from kvsim.config.schema import ByNodeKind, ListOf, Text

ARRAY_DEPTH_MAX = 32
# A reply with more elements takes longer to read than a request may take.
ELEMENTS_MAX = 100_000
# The longest line of RESP; only bulk strings may be longer.
LINE_BYTES_MAX = 64 * 1024
# The most digits of an announced length.
LENGTH_DIGITS_MAX = 18
_SIMPLE = frozenset(b"+-:")
_SIZED = frozenset(b"$*")

# A text is cut at spaces before its fields are filled in.
REQUEST = ByNodeKind(
    "a list of words, or a text that is cut at spaces",
    text=Text("words", pattern=r"\s*\S.*", wire=True),
    items=ListOf(Text("a word", wire=True), length_min=1),
)
HANDSHAKE = handshake_of(REQUEST)
LANGUAGE = language(table(CONNECTION, PORT, REPLY_MAX_BYTES, HANDSHAKE), REQUEST)


def encode(words: Sequence[bytes]) -> bytes:
    """A request: an array of bulk strings."""
    return b"*%d\r\n" % len(words) + b"".join(
        [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    )


class RespDecoder:
    """A codec.Decoder of one reply. Searches each byte once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        # Where the next element begins, and where the search for its line end continues.
        self._position = 0
        self._search_from = 0
        # The length of the bulk string whose line has been read.
        self._bulk: int | None = None
        # For each open array, how many elements are missing; the reply itself is the first.
        self._missing_elements: list[int] = [1]
        self._text: list[bytes] = []

    def feed(self, data: bytes) -> ReplyFrame | None:
        self._buffer += data
        while self._missing_elements:
            if not (self._read_line() if self._bulk is None else self._read_bulk(self._bulk)):
                if len(self._buffer) > self._limit:
                    raise too_long(self._limit)
                return None
            while self._missing_elements and self._missing_elements[-1] == 0:
                self._missing_elements.pop()
        if self._position > self._limit:
            raise too_long(self._limit)
        return ReplyFrame(b"\n".join(self._text), bytes(self._buffer[self._position :]))

    def finish(self) -> ReplyFrame | None:
        return None

    @property
    def missing(self) -> str:
        if self._bulk is None:
            return "the line end b'\\r\\n' of a RESP line"
        return f"{self._position + self._bulk + 2 - len(self._buffer)} bytes of a bulk string"

    def _read_line(self) -> bool:
        """Read one line if it is whole; False: it is not."""
        stop = self._buffer.find(b"\r\n", self._search_from)
        size = (len(self._buffer) if stop < 0 else stop) - self._position
        if size and self._buffer[self._position] not in _SIMPLE | _SIZED:
            start = bytes(self._buffer[self._position : self._position + 80])
            raise Malformed(f"{format_bytes(start)} is no RESP reply")
        if size > LINE_BYTES_MAX:
            raise Malformed(f"a RESP line of more than {LINE_BYTES_MAX} bytes")
        if stop < 0:
            self._search_from = max(self._position, len(self._buffer) - 1)
            return False
        line = bytes(self._buffer[self._position : stop])
        self._position = self._search_from = stop + 2
        self._take_line(line)
        return True

    def _take_line(self, line: bytes) -> None:
        if not line:
            raise Malformed("an empty line is no RESP reply")
        if line[0] in _SIMPLE:
            self._add(line)
            return
        size = self._announced(line)
        if size < 0:
            self._add(b"_")
        elif line[:1] == b"$":
            self._bulk = size
        else:
            self._open_array(size)

    def _add(self, element: bytes) -> None:
        if len(self._text) >= ELEMENTS_MAX:
            raise Oversize(f"the reply has more than {ELEMENTS_MAX} elements")
        self._text.append(element)
        self._missing_elements[-1] -= 1

    def _announced(self, line: bytes) -> int:
        """The length in a line of a bulk string or an array; -1 is null."""
        number = line[1:]
        if number == b"-1":
            return -1
        if not number.isdigit() or len(number) > LENGTH_DIGITS_MAX:
            raise Malformed(f"{format_bytes(line)} announces no length")
        if int(number) > self._limit:
            raise too_long(self._limit)
        return int(number)

    def _open_array(self, size: int) -> None:
        self._add(b"*%d" % size)
        self._missing_elements.append(size)
        if len(self._missing_elements) > ARRAY_DEPTH_MAX:
            raise Malformed(f"arrays nested more than {ARRAY_DEPTH_MAX} deep")

    def _read_bulk(self, size: int) -> bool:
        """Read a bulk string if it is whole; False: it is not."""
        stop = self._position + size
        if len(self._buffer) < stop + 2:
            return False
        if not self._buffer.startswith(b"\r\n", stop):
            raise Malformed("no line end follows a bulk string")
        self._add(b"$" + bytes(self._buffer[self._position : stop]))
        self._position = self._search_from = stop + 2
        self._bulk = None
        return True


class RespCodec:
    """A codec.Codec: requests and replies of one program in RESP."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: SettingValues) -> None:
        self._program = program
        self._limit = settings[REPLY_MAX_BYTES]
        self._templates = {
            verb: self._compile(verb, words, names) for verb, words in program.requests.items()
        }
        self.handshake = tuple(
            HandshakeStep(
                encode([template.fill({}) for template in _words(step.send, names)]),
                step.expect,
            )
            for step in settings[HANDSHAKE]
        )

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        templates = self._templates.get(request.verb)
        if templates is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        return encode([template.fill(request.fields) for template in templates])

    def decoder(self, verb: str, sent: bytes = b"") -> RespDecoder:
        return RespDecoder(self._limit)

    def greeting(self) -> None:
        return None

    def _compile(self, verb: str, raw: object, names: Mapping[str, str]) -> tuple[Template, ...]:
        return _words(read_plain(REQUEST, raw, request_in(self._program, verb)), names)


def _words(request: str | tuple[str, ...], names: Mapping[str, str]) -> tuple[Template, ...]:
    words = request.split() if isinstance(request, str) else request
    return tuple(compile_template(word, names) for word in words)


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks RESP. Raises BadSetting or UsageError for mistakes in node.yaml."""
    settings = read_settings(LANGUAGE, program.speak.settings)
    return StreamClient(
        RespCodec(program, names, settings),
        rules_of(program),
        host,
        port,
        persistent=settings[CONNECTION] == "persistent",
    )
