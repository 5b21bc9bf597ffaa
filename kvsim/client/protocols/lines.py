"""Text, one line per request.

A request is its template and a line end; an empty template sends nothing, for a server that writes
its reply when a client connects (`connection: per_request`). A reply is one line, or lines up to a
sentinel (`until`), a prompt, or the end of the connection (`reply_ends: close`). A line that
matches `counted` is followed by that many bytes and a line end; the bytes may be any, and they are
the group `value`. The outcome rules read the whole reply without its last line end.

A value with a line end cannot be sent as a line. kvsim then raises Unsendable, so that its own
limit never looks like a refusal of the store. A template that holds the length (`{value.bytes}`) or
writes `{value.json}` can carry it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Struct

from kvsim.client.codec import (
    CONNECTION,
    PORT,
    REPLY_BYTES_MAX,
    REPLY_MAX_BYTES,
    HandshakeStep,
    Malformed,
    ReplyFrame,
    too_long,
)
from kvsim.client.exchange import Request
from kvsim.client.outcomes import format_bytes, rules_of
from kvsim.client.settings import (
    BytesPattern,
    ProtocolSetting,
    SettingValues,
    handshake_of,
    language,
    read_plain,
    read_settings,
    table,
)
from kvsim.client.stream import StreamClient
from kvsim.client.templates import (
    Template,
    UnknownVerb,
    Unsendable,
    base_verb,
    compile_template,
    request_in,
    to_bytes,
)
from kvsim.config.program import Program
from kvsim.config.schema import WORD, ByNodeKind, Choice, MapOf, Pattern, Text, Validation
from kvsim.config.yaml_nodes import Scalar
from kvsim.patterns import search

# The most digits of an announced length.
LENGTH_DIGITS_MAX = 18

BytesByVerb = Mapping[str, re.Pattern[bytes]]


class LineEnd(Choice):
    """What ends a line: `lf` or `crlf`, or these characters themselves."""

    CHARACTERS: ClassVar[dict[str, str]] = {
        "\n": "lf",
        "\\n": "lf",
        "\r\n": "crlf",
        "\\r\\n": "crlf",
    }

    def __init__(self) -> None:
        super().__init__(("lf", "crlf"), result={"lf": b"\n", "crlf": b"\r\n"}.__getitem__)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        word = self.CHARACTERS.get(node.text, node.text)
        return super().parse(node._replace(text=word), validation)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [*self.words, *self.CHARACTERS]}


class Prompt(Text):
    """A text that is searched in bytes."""

    def build(self, value: Any) -> bytes:
        return to_bytes(value)


class Greeting(Pattern):
    """A number of lines, or a pattern for the last line."""

    expected = "a number of lines, or a regular expression"

    def build(self, value: Any) -> int | re.Pattern[bytes]:
        is_number = value.isascii() and value.isdecimal()
        return int(value) if is_number else BytesPattern().build(value)


def _for_any(pattern: re.Pattern[bytes] | BytesByVerb) -> BytesByVerb:
    return {"any": pattern} if isinstance(pattern, re.Pattern) else pattern


class PatternByVerb(ByNodeKind):
    """One pattern for all verbs, or verb → pattern; `any` stands for the other verbs."""

    def __init__(self) -> None:
        super().__init__(
            "a pattern, or a mapping from a verb to a pattern",
            text=BytesPattern(),
            mapping=MapOf(BytesPattern(), key=WORD, key_expected="a verb, or any"),
        )

    def build(self, value: Any) -> BytesByVerb:
        return _for_any(super().build(value))


REQUEST = Text("a text", wire=True)
LINE_END = ProtocolSetting(
    "line_end", "what ends a request and a line of a reply", LineEnd(), b"\n", "lf"
)
REPLY_LINE_END: ProtocolSetting[bytes | None] = ProtocolSetting(
    "reply_line_end", "what ends a line of a reply", LineEnd(), None, "`line_end`"
)
GREETING: ProtocolSetting[int | re.Pattern[bytes]] = ProtocolSetting(
    "greeting",
    "what the server sends first: a number of lines, or a pattern for its last line",
    Greeting(),
    0,
    "0",
)
PROMPT = ProtocolSetting(
    "prompt",
    "text the server sends when it waits for a request; a reply ends before it",
    Prompt(),
    b"",
)
UNTIL: ProtocolSetting[BytesByVerb] = ProtocolSetting(
    "until",
    "a pattern for the last line of a reply of several lines; or verb → pattern, with `any`",
    PatternByVerb(),
    {},
)
COUNTED: ProtocolSetting[re.Pattern[bytes] | None] = ProtocolSetting(
    "counted",
    "a pattern for a line that holds in `(?P<bytes>…)` how many bytes follow it",
    BytesPattern(named="bytes"),
    None,
)
REPLY_ENDS = ProtocolSetting(
    "reply_ends",
    "where a reply ends without `until` and `prompt`",
    Choice({"line": "with its line", "close": "when the server closes the connection"}),
    "line",
    "line",
)
HANDSHAKE = handshake_of(REQUEST)
LANGUAGE = language(
    table(
        CONNECTION,
        PORT,
        REPLY_MAX_BYTES,
        LINE_END,
        REPLY_LINE_END,
        GREETING,
        PROMPT,
        HANDSHAKE,
        UNTIL,
        COUNTED,
        REPLY_ENDS,
    ),
    REQUEST,
)


class LineFraming(Struct, frozen=True):
    """Where a reply ends. With no other field, it has `lines` lines."""

    end: bytes = b"\n"
    until: re.Pattern[bytes] | None = None
    counted: re.Pattern[bytes] | None = None
    prompt: bytes = b""
    close: bool = False
    lines: int = 1
    limit: int = REPLY_BYTES_MAX


class LineDecoder:
    """A codec.Decoder of one reply. Searches each byte once."""

    def __init__(self, framing: LineFraming) -> None:
        self._framing = framing
        self._buffer = bytearray()
        # Where the current line begins, and where the search for its end continues.
        self._start = 0
        self._search_from = 0
        self._lines = 0
        self._extracted: dict[str, str | None] = {}

    def feed(self, data: bytes) -> ReplyFrame | None:
        self._buffer += data
        reply = None if self._framing.close else self._read_lines()
        if len(self._buffer if reply is None else reply.text) > self._framing.limit:
            raise too_long(self._framing.limit)
        return reply

    def finish(self) -> ReplyFrame | None:
        if not self._framing.close:
            return None
        return ReplyFrame(bytes(self._buffer).removesuffix(self._framing.end), last=True)

    @property
    def missing(self) -> str:
        framing = self._framing
        if framing.close:
            return "the end of the connection"
        if framing.prompt:
            return f"the prompt {format_bytes(framing.prompt)}"
        if framing.until:
            return f"a line that matches {format_bytes(framing.until.pattern)}"
        return f"the line end {format_bytes(framing.end)}"

    def _read_lines(self) -> ReplyFrame | None:
        framing = self._framing
        while True:
            if framing.prompt and self._buffer.startswith(framing.prompt, self._start):
                return self._reply(self._start, self._start + len(framing.prompt))
            stop = self._buffer.find(framing.end, self._search_from)
            if stop < 0:
                self._search_from = max(self._start, len(self._buffer) - len(framing.end) + 1)
                return None
            line, after = bytes(self._buffer[self._start : stop]), stop + len(framing.end)
            size = self._announced(line)
            if size is not None:
                stop = after + size
                if not self._read_value(after, stop):
                    self._search_from = self._start
                    return None
                after = stop + len(framing.end)
            self._start = self._search_from = after
            if self._is_last(line):
                return self._reply(after, after)

    def _announced(self, line: bytes) -> int | None:
        """How many bytes follow this line, if it is a `counted` line."""
        counted = self._framing.counted
        match = search(counted.pattern, line) if counted else None
        number: bytes | None = match.group("bytes") if match else None
        if number is None or number == b"-1":
            return None
        if not number.isdigit() or len(number) > LENGTH_DIGITS_MAX:
            raise Malformed(f"the reply announces {format_bytes(number)} bytes")
        if int(number) > self._framing.limit:
            raise too_long(self._framing.limit)
        return int(number)

    def _read_value(self, start: int, stop: int) -> bool:
        """Take the value out of the buffer; False: it has not arrived yet."""
        end = self._framing.end
        if len(self._buffer) < stop + len(end):
            return False
        if not self._buffer.startswith(end, stop):
            problem = f"{stop - start} bytes were announced, but no line end follows them"
            raise Malformed(problem)
        self._extracted = {"value": self._buffer[start:stop].decode("utf-8", "surrogateescape")}
        return True

    def _is_last(self, line: bytes) -> bool:
        if self._framing.prompt:
            return False
        if self._framing.until:
            return search(self._framing.until.pattern, line) is not None
        self._lines += 1
        return self._lines >= self._framing.lines

    def _reply(self, stop: int, rest: int) -> ReplyFrame:
        reply = bytes(self._buffer[:stop]).removesuffix(self._framing.end)
        return ReplyFrame(reply, bytes(self._buffer[rest:]), extracted=self._extracted)


class LinesCodec:
    """A codec.Codec: requests and replies of one program as lines."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: SettingValues) -> None:
        self._program = program
        self._settings = settings
        self._end = settings[LINE_END]
        self._reply_end = settings[REPLY_LINE_END] or self._end
        self._limit = settings[REPLY_MAX_BYTES]
        self._templates = {
            verb: self._compile(verb, template, names)
            for verb, template in program.requests.items()
        }
        self._framings = {verb: self._framing(verb) for verb in (*program.requests, "raw")}
        self._default_framing = self._framing("")
        self.handshake = tuple(
            HandshakeStep(compile_template(step.send, names).fill({}) + self._end, step.expect)
            for step in settings[HANDSHAKE]
        )

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        template = self._templates.get(request.verb)
        if template is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        for name in template.raw_fields:
            if "\n" in request.fields.get(name, ""):
                raise Unsendable(
                    f"cannot send {request.verb}: its {name} contains a line end, which one line "
                    f"cannot contain (program {self._program.name}); {{{name}.bytes}} or "
                    f"{{{name}.json}} in its request can"
                )
        # A request without text sends nothing: the server speaks first.
        return template.fill(request.fields) + self._end if template.parts else b""

    def decoder(self, verb: str, sent: bytes = b"") -> LineDecoder:
        return LineDecoder(self._framings.get(verb, self._default_framing))

    def greeting(self) -> LineDecoder | None:
        greeting = self._settings[GREETING]
        if self._settings[PROMPT]:
            return LineDecoder(self._default_framing)
        if isinstance(greeting, re.Pattern):
            return LineDecoder(LineFraming(self._reply_end, until=greeting, limit=self._limit))
        if not greeting:
            return None
        return LineDecoder(LineFraming(self._reply_end, lines=greeting, limit=self._limit))

    def _compile(self, verb: str, template: object, names: Mapping[str, str]) -> Template:
        request = read_plain(REQUEST, template, request_in(self._program, verb))
        return compile_template(request, names)

    def _framing(self, verb: str) -> LineFraming:
        until = self._settings[UNTIL]
        return LineFraming(
            end=self._reply_end,
            until=until.get(base_verb(verb), until.get("any")),
            counted=self._settings[COUNTED],
            prompt=self._settings[PROMPT],
            close=self._settings[REPLY_ENDS] == "close",
            limit=self._limit,
        )


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks lines. Raises BadSetting or UsageError for mistakes in node.yaml."""
    settings = read_settings(LANGUAGE, program.speak.settings)
    return StreamClient(
        LinesCodec(program, names, settings),
        rules_of(program),
        host,
        port,
        persistent=settings[CONNECTION] == "persistent" and settings[REPLY_ENDS] == "line",
    )
