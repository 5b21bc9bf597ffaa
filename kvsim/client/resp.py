"""`speak: resp`: Redis' protocol, RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/). Pure
codec; stream.py carries it.

A request is a list of words, `[SET, "{key}", "{value}"]`, or one text cut at spaces before its fields are
filled in; words carry any bytes. What the rules read is the reply rendered as text, one element a line:

| reply | rendered |
| --- | --- |
| simple string, error, integer | as it stands: `+OK`, `-READONLY You can't …`, `:1` |
| bulk string | `$` and the bytes: `$value` |
| null (bulk or array) | `_` |
| array | `*` and its length, then its elements each on a line of its own |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kvsim.client.codec import STREAM_SETTINGS, Malformed, Reply, Shake, too_long
from kvsim.client.exchange import Request
from kvsim.client.outcomes import show
from kvsim.client.settings import BadSetting, Setting, read_settings, shakes
from kvsim.client.stream import StreamClient
from kvsim.client.templates import Template, UnknownVerb, compile_template
from kvsim.client.verbs import rules_of
from kvsim.config.program import Program

DEPTH_MAX = 32
HEADER_BYTES_MAX = 64 * 1024  # a line of RESP; only bulk strings may be longer
_SIMPLE = frozenset(b"+-:")
_SIZED = frozenset(b"$*")

SETTINGS: dict[str, Setting] = {
    **STREAM_SETTINGS,
    "handshake": Setting(
        "requests to send on a new connection: a list of {send, expect: PATTERN}", (), shakes
    ),
}


def encode(words: Sequence[bytes]) -> bytes:
    """A request: an array of bulk strings."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class RespDecoder:
    """Cuts one reply out of bytes that come in any pieces, and renders it. Looks at each byte once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at = 0  # where the next element begins
        self._from = 0  # where to go on looking for its line end
        self._bulk: int | None = None  # length of the bulk string whose header has been read
        self._open: list[int] = [
            1
        ]  # elements still to come, for each array that is open; the reply itself is one
        self._rendered: list[bytes] = []

    def feed(self, data: bytes) -> Reply | None:
        self._buffer += data
        while self._open:
            if not (self._header() if self._bulk is None else self._body()):
                if len(self._buffer) > self._limit:
                    raise too_long(self._limit)
                return None
            while self._open and self._open[-1] == 0:
                self._open.pop()
        if self._at > self._limit:
            raise too_long(self._limit)
        return Reply(b"\n".join(self._rendered), bytes(self._buffer[self._at :]))

    def finish(self) -> Reply | None:
        return None

    @property
    def wants(self) -> str:
        if self._bulk is None:
            return "the line end b'\\r\\n' of a RESP line"
        return f"{self._at + self._bulk + 2 - len(self._buffer)} bytes of a bulk string"

    def _header(self) -> bool:
        """Read one line when it is whole; False when it is not."""
        stop = self._buffer.find(b"\r\n", self._from)
        size = (len(self._buffer) if stop < 0 else stop) - self._at
        if size and self._buffer[self._at] not in _SIMPLE | _SIZED:
            raise Malformed(f"{show(bytes(self._buffer[self._at : self._at + 80]))} is no RESP reply")
        if size > HEADER_BYTES_MAX:
            raise Malformed(f"a RESP line of more than {HEADER_BYTES_MAX} bytes")
        if stop < 0:
            self._from = max(self._at, len(self._buffer) - 1)
            return False
        line = bytes(self._buffer[self._at : stop])
        self._at = self._from = stop + 2
        self._take(line)
        return True

    def _take(self, line: bytes) -> None:
        if not line:
            raise Malformed("an empty line is no RESP reply")
        if line[0] in _SIMPLE:
            self._render(line)
            return
        size = self._size(line)
        if size < 0:
            self._render(b"_")
        elif line[:1] == b"$":
            self._bulk = size
        else:
            self._enter(size)

    def _render(self, element: bytes) -> None:
        self._rendered.append(element)
        self._open[-1] -= 1

    def _size(self, line: bytes) -> int:
        number = line[1:]
        if number == b"-1":
            return -1
        if not number.isdigit() or len(number) > 18:
            raise Malformed(f"{show(line)} announces no length")
        if int(number) > self._limit:
            raise too_long(self._limit)
        return int(number)

    def _enter(self, size: int) -> None:
        self._render(b"*%d" % size)
        self._open.append(size)
        if len(self._open) > DEPTH_MAX:
            raise Malformed(f"arrays nested more than {DEPTH_MAX} deep")

    def _body(self) -> bool:
        stop = self._at + (self._bulk or 0)
        if len(self._buffer) < stop + 2:
            return False
        if not self._buffer.startswith(b"\r\n", stop):
            raise Malformed("no line end stands behind a bulk string")
        self._render(b"$" + bytes(self._buffer[self._at : stop]))
        self._at = self._from = stop + 2
        self._bulk = None
        return True


class RespCodec:
    """Requests and replies of one program in RESP."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: Mapping[str, object]) -> None:
        self._program = program
        self._limit: int = settings["reply_max_bytes"]  # type: ignore[assignment]
        self._templates = {
            verb: self._compile(verb, words, names) for verb, words in program.requests.items()
        }
        self.handshake = tuple(
            Shake(encode([template.fill({}) for template in self._compile("handshake", send, names)]), expect)
            for send, expect in settings["handshake"]  # type: ignore[attr-defined]
        )

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        templates = self._templates.get(request.verb)
        if templates is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        return encode([template.fill(request.fields) for template in templates])

    def decoder(self, verb: str) -> RespDecoder:
        return RespDecoder(self._limit)

    def greeting(self) -> None:
        return None

    def _compile(self, verb: str, words: object, names: Mapping[str, str]) -> tuple[Template, ...]:
        split = words.split() if isinstance(words, str) else words
        if not isinstance(split, (list, tuple)) or not split:
            raise BadSetting(
                f"program {self._program.name}: request `{verb}`: `speak: resp` wants a list of words"
            )
        return tuple(compile_template(str(word), names) for word in split)


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks RESP. Raises BadSetting, UsageError for what node.yaml says wrong."""
    settings = read_settings("resp", SETTINGS, program.speak.settings)
    lasting = settings["connection"] == "lasting"
    return StreamClient(RespCodec(program, names, settings), rules_of(program), host, port, lasting=lasting)
