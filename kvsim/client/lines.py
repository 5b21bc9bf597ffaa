"""`speak: lines`: requests and replies are lines of text. Pure codec; stream.py carries it.

A request is its template and a line end. A reply is one line, or lines up to a sentinel (`until`), a prompt,
or the end of the connection (`reply_ends: close`); a line that matches `counted` is followed by that many
bytes and a line end, whatever is in them, and those bytes are the group `value`. What the rules read is the
whole reply without its last line end.

A value with a line end cannot travel as a line. kvsim then refuses to send it (Unsendable), so that its own
limit never looks like the store's refusal; a template that says the length (`{value.bytes}`) or writes
`{value.json}` may carry it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kvsim.client.codec import STREAM_SETTINGS, Malformed, Reply, Shake, too_long
from kvsim.client.exchange import Request
from kvsim.client.outcomes import show
from kvsim.client.settings import (
    BadSetting,
    Setting,
    mapping_of,
    one_of,
    pattern,
    read_settings,
    shakes,
    text,
)
from kvsim.client.stream import StreamClient
from kvsim.client.templates import Template, UnknownVerb, Unsendable, compile_template, to_bytes
from kvsim.client.verbs import rules_of
from kvsim.config.program import Program

LINE_ENDS = {"\n": b"\n", "\r\n": b"\r\n", "lf": b"\n", "crlf": b"\r\n", "\\n": b"\n", "\\r\\n": b"\r\n"}


def _line_end(raw: object) -> bytes:
    if str(raw) not in LINE_ENDS:
        raise ValueError("wants lf or crlf")
    return LINE_ENDS[str(raw)]


def _bytes_pattern(raw: object) -> re.Pattern[bytes]:
    return re.compile(to_bytes(pattern(raw)), re.DOTALL)


def _counting(raw: object) -> re.Pattern[bytes]:
    compiled = _bytes_pattern(raw)
    if "bytes" not in compiled.groupindex:
        raise ValueError("needs a group `(?P<bytes>…)` around the number")
    return compiled


def _by_verb(raw: object) -> Mapping[str, object]:
    """One pattern for all verbs, or verb → pattern; `any` stands for the rest."""
    return mapping_of(_bytes_pattern)(raw) if isinstance(raw, Mapping) else {"any": _bytes_pattern(raw)}


def _greeting(raw: object) -> int | re.Pattern[bytes]:
    words = str(raw)
    return int(words) if words.isascii() and words.isdecimal() else _bytes_pattern(raw)


SETTINGS: dict[str, Setting] = {
    **STREAM_SETTINGS,
    "line_end": Setting("what ends a request and a line of a reply: `lf` or `crlf`", b"\n", _line_end),
    "reply_line_end": Setting("what ends a line of a reply, where it is not `line_end`", None, _line_end),
    "greeting": Setting(
        "what the server says first: a number of lines, or a pattern for its last line", 0, _greeting
    ),
    "prompt": Setting(
        "text the server sends when it waits for a request; a reply ends where it stands",
        b"",
        lambda raw: to_bytes(text(raw)),
    ),
    "handshake": Setting(
        "requests to send on a new connection: a list of {send, expect: PATTERN}", (), shakes
    ),
    "until": Setting(
        "a pattern for the last line of a reply of several lines; or verb → pattern", {}, _by_verb
    ),
    "counted": Setting(
        "a pattern for a line that says in `(?P<bytes>…)` how many bytes follow it", None, _counting
    ),
    "reply_ends": Setting(
        "`line`, or `close` when the server ends each reply by closing", "line", one_of("line", "close")
    ),
}


@dataclass(frozen=True)
class Framing:
    """Where a reply ends. `lines` counts lines when nothing else says the end."""

    end: bytes = b"\n"
    until: re.Pattern[bytes] | None = None
    counted: re.Pattern[bytes] | None = None
    prompt: bytes = b""
    close: bool = False
    lines: int = 1
    limit: int = 16 * 1024 * 1024


class LineDecoder:
    """Cuts one reply out of bytes that come in any pieces."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()
        self._start = 0  # where the line being looked at begins
        self._from = 0  # where to go on looking for its end
        self._lines = 0
        self._extracted: dict[str, str | None] = {}

    def feed(self, data: bytes) -> Reply | None:
        self._buffer += data
        reply = None if self._framing.close else self._look()
        if len(self._buffer if reply is None else reply.text) > self._framing.limit:
            raise too_long(self._framing.limit)
        return reply

    def finish(self) -> Reply | None:
        if not self._framing.close:
            return None
        return Reply(bytes(self._buffer).removesuffix(self._framing.end), last=True)

    @property
    def wants(self) -> str:
        framing = self._framing
        if framing.close:
            return "the end of the connection"
        if framing.prompt:
            return f"the prompt {show(framing.prompt)}"
        return (
            f"a line that matches {show(framing.until.pattern)}"
            if framing.until
            else f"the line end {framing.end!r}"
        )

    def _look(self) -> Reply | None:
        framing = self._framing
        while True:
            if framing.prompt and self._buffer.startswith(framing.prompt, self._start):
                return self._cut(self._start, self._start + len(framing.prompt))
            stop = self._buffer.find(framing.end, self._from)
            if stop < 0:
                self._from = max(self._start, len(self._buffer) - len(framing.end) + 1)
                return None
            line, after = bytes(self._buffer[self._start : stop]), stop + len(framing.end)
            size = self._announced(line)
            if size is not None:
                stop = after + size
                if not self._value_whole(after, stop):
                    self._from = self._start
                    return None
                after = stop + len(framing.end)
            self._start = self._from = after
            if self._ends(line):
                return self._cut(after, after)

    def _announced(self, line: bytes) -> int | None:
        """How many bytes this line says will follow it."""
        match = self._framing.counted.search(line) if self._framing.counted else None
        number = match.group("bytes") if match else None
        if number is None or number == b"-1":
            return None
        if not number.isdigit() or len(number) > 18:
            raise Malformed(f"the reply announces {show(number)} bytes")
        if int(number) > self._framing.limit:
            raise too_long(self._framing.limit)
        return int(number)

    def _value_whole(self, start: int, stop: int) -> bool:
        end = self._framing.end
        if len(self._buffer) < stop + len(end):
            return False
        if not self._buffer.startswith(end, stop):
            raise Malformed(f"{stop - start} bytes were announced, but no line end stands behind them")
        self._extracted = {"value": self._buffer[start:stop].decode("utf-8", "surrogateescape")}
        return True

    def _ends(self, line: bytes) -> bool:
        if self._framing.prompt:
            return False
        if self._framing.until:
            return self._framing.until.search(line) is not None
        self._lines += 1
        return self._lines >= self._framing.lines

    def _cut(self, stop: int, rest: int) -> Reply:
        text_ = bytes(self._buffer[:stop]).removesuffix(self._framing.end)
        return Reply(text_, bytes(self._buffer[rest:]), extracted=self._extracted)


class LinesCodec:
    """Requests and replies of one program as lines."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: Mapping[str, object]) -> None:
        self._program = program
        self._settings = settings
        self._end: bytes = settings["line_end"]  # type: ignore[assignment]
        self._templates = {
            verb: self._compile(verb, words, names) for verb, words in program.requests.items()
        }
        self._framings = {verb: self._framing(verb) for verb in (*program.requests, "raw")}
        self._plain = self._framing("")
        self.handshake = tuple(
            Shake(compile_template(text(send), names).fill({}) + self._end, expect)
            for send, expect in settings["handshake"]  # type: ignore[attr-defined]
        )

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        template = self._templates.get(request.verb)
        if template is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        for name in template.loose:
            if "\n" in request.fields.get(name, ""):
                raise Unsendable(
                    f"cannot send {request.verb}: its {name} holds a line end, which one line cannot hold "
                    f"(program {self._program.name}); {{{name}.bytes}} or {{{name}.json}} in its request can"
                )
        return template.fill(request.fields) + self._end

    def decoder(self, verb: str) -> LineDecoder:
        return LineDecoder(self._framings.get(verb, self._plain))

    def greeting(self) -> LineDecoder | None:
        said, prompt = self._settings["greeting"], self._settings["prompt"]
        if prompt:
            return LineDecoder(self._plain)
        if isinstance(said, re.Pattern):
            return LineDecoder(Framing(self._reply_end, until=said, limit=self._limit))
        return LineDecoder(Framing(self._reply_end, lines=said, limit=self._limit)) if said else None  # type: ignore[arg-type]

    def _compile(self, verb: str, words: object, names: Mapping[str, str]) -> Template:
        if not isinstance(words, str):
            raise BadSetting(
                f"program {self._program.name}: request `{verb}`: `speak: lines` wants text, not {words!r}"
            )
        return compile_template(words, names)

    def _framing(self, verb: str) -> Framing:
        until: Mapping[str, re.Pattern[bytes]] = self._settings["until"]  # type: ignore[assignment]
        return Framing(
            end=self._reply_end,
            until=until.get(verb, until.get("any")),
            counted=self._settings["counted"],  # type: ignore[arg-type]
            prompt=self._settings["prompt"],  # type: ignore[arg-type]
            close=self._settings["reply_ends"] == "close",
            limit=self._limit,
        )

    @property
    def _reply_end(self) -> bytes:
        return self._settings["reply_line_end"] or self._end  # type: ignore[return-value]

    @property
    def _limit(self) -> int:
        return self._settings["reply_max_bytes"]  # type: ignore[return-value]


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks lines. Raises BadSetting, UsageError for what node.yaml says wrong."""
    settings = read_settings("lines", SETTINGS, program.speak.settings)
    lasting = settings["connection"] == "lasting" and settings["reply_ends"] == "line"
    return StreamClient(LinesCodec(program, names, settings), rules_of(program), host, port, lasting=lasting)
