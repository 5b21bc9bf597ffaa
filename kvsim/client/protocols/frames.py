"""Messages, each with its length in front.

A request's body is its template; `{value.u16}` and the like write a field's own length into it,
`{0x01}` a byte. The setting `frame` describes frames with more fields than a length: constants,
numbers that each request states, lengths of one part or of several, a request number, the time. A
request is then a mapping with its numbers and parts. The outcome rules read the parts of the reply
without its numbers, byte for byte; a part `value` is the value, and a number with `status: true` is
the `status`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kvsim.client.codec import CONNECTION, PORT, REPLY_MAX_BYTES, HandshakeStep
from kvsim.client.exchange import Request
from kvsim.client.frame_layout import (
    ANY,
    FRAME,
    REST,
    TIME_UNITS,
    ByteOrder,
    FrameDecoder,
    FrameField,
    FrameLayout,
    encode,
    simple_layout,
)
from kvsim.client.outcomes import rules_of
from kvsim.client.settings import (
    BYTE_ORDERS,
    IntChoice,
    ProtocolSetting,
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
from kvsim.config.schema import (
    WORD,
    WRONG,
    ByNodeKind,
    Choice,
    Field,
    Flag,
    ListOf,
    MapOf,
    Record,
    ScalarSchema,
    Schema,
    Text,
    Validation,
)
from kvsim.config.yaml_nodes import Scalar, Tree

NUMBER_MAX = 2**64


class Number(ScalarSchema):
    """A whole number, decimal or hexadecimal. `words` are allowed too."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.expected = " or ".join(["a number such as 7 or 0x80", *words])

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if node.text in self.words:
            return node.text
        try:
            number = int(node.text, 16 if node.text[:2].lower() == "0x" else 10)
        except ValueError:
            number = -1
        return (
            number if 0 <= number < NUMBER_MAX else validation.report_expected(node, self.expected)
        )

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        number = {"type": ["integer", "string"], "pattern": "^(0[xX][0-9a-fA-F]+|[0-9]+)$"}
        return {"anyOf": [{**number, "minimum": 0}, {"enum": list(self.words)}]}


KINDS = ("constant", "given", "length", "request_number", "time", "part")
FIELD = Record(
    "frame field",
    {
        "constant": Field(Number(), "a number that is always the same; a reply must have it too"),
        "given": Field(
            Text("a name", pattern=WORD), "a number that each request states under this name"
        ),
        "length": Field(
            ListOf(Text(f"a part, {FRAME} or {REST}", pattern=WORD), single=True, length_min=1),
            f"how many bytes these parts have together; {FRAME}: the whole frame; {REST}: all that "
            "follows this field",
            default=(),
        ),
        "request_number": Field(
            Flag(),
            "counts the requests; a reply belongs to the request with its number",
            default=False,
        ),
        "time": Field(Choice(tuple(TIME_UNITS)), "when it is sent, since 1970, in this unit"),
        "part": Field(Text("a name", pattern=WORD), "bytes, their length in a field before"),
        "size": Field(IntChoice((1, 2, 4, 8)), "how many bytes the number has", default=0),
        "byte_order": Field(
            BYTE_ORDERS, "the order of the number's bytes", default_text="`byte_order` of `speak`"
        ),
        "reply": Field(Number(ANY), f"what a reply has instead; {ANY}: it is not looked at"),
        "status": Field(Flag(), "in a reply, the number is the `status` of rules", default=False),
    },
    one_of=KINDS,
    result=FrameField,
)


class FrameSchema(ListOf):
    """The fields of a frame in order, which must tell where a reply ends."""

    def __init__(self) -> None:
        super().__init__(FIELD, length_min=1)

    def read(self, node: Tree, validation: Validation) -> Any:
        before = len(validation.problems)
        values = super().read(node, validation)
        if values is WRONG or len(validation.problems) > before:
            return WRONG
        for value in values:
            if value.is_written("part") is value.is_written("size"):
                what = "a part has no `size`" if value.is_written("part") else "`size` is missing"
                validation.report(value.node, what)
                return WRONG
        mistake = FrameLayout(self.build(values)).mistake()
        if mistake:
            validation.report(node, mistake)
            return WRONG
        return values


SIZE = ProtocolSetting("size", "how many bytes the length takes", IntChoice((1, 2, 4, 8)), 4, "4")
BYTE_ORDER: ProtocolSetting[ByteOrder] = ProtocolSetting(
    "byte_order", "the order of the bytes of numbers", BYTE_ORDERS, "big", "big"
)
INCLUDES_ITSELF = ProtocolSetting(
    "includes_itself", "whether the length counts its own bytes too", Flag(), False, "false"
)
FRAME_FIELDS: ProtocolSetting[tuple[FrameField, ...]] = ProtocolSetting(
    "frame",
    "the fields of a frame in order, where it has more than a length (`size`, `includes_itself`) "
    "and a body",
    FrameSchema(),
    (),
    "a length and a body",
)
GREETING = ProtocolSetting(
    "greeting", "whether the server sends a frame before the first request", Flag(), False, "false"
)
REQUEST = ByNodeKind(
    "a text (the only part), or a mapping: the name of a part or of a given number → text",
    text=Text(wire=True),
    mapping=MapOf(Text(wire=True), key=WORD, key_expected="a part or a given number"),
)
HANDSHAKE = handshake_of(REQUEST)
SETTINGS = table(
    CONNECTION,
    PORT,
    REPLY_MAX_BYTES,
    SIZE,
    BYTE_ORDER,
    INCLUDES_ITSELF,
    FRAME_FIELDS,
    GREETING,
    HANDSHAKE,
)


def layout_of(settings: SettingValues) -> FrameLayout:
    """The layout of frames by the settings of `speak`."""
    limit, byte_order = settings[REPLY_MAX_BYTES], settings[BYTE_ORDER]
    fields = settings[FRAME_FIELDS]
    if fields:
        return FrameLayout(fields, byte_order, limit)
    return simple_layout(settings[SIZE], byte_order, settings[INCLUDES_ITSELF], limit)


class FrameRequest(Struct, frozen=True):
    """A request as node.yaml describes it: texts of parts, and given numbers."""

    parts: Mapping[str, str]
    given: Mapping[str, int]


class FrameRequestSchema(ByNodeKind):
    """A request for frames of this layout."""

    def __init__(self, layout: FrameLayout) -> None:
        self.layout = layout
        parts = {name: Field(Text(wire=True), "the part") for name in layout.parts}
        given = {name: Field(Number(), "the number", required=True) for name in layout.given}
        only_body = len(parts) == 1 and not given
        mapping = Record("request", {**given, **parts})
        words = ", ".join(mapping.fields)
        super().__init__(
            f"a text, or a mapping ({words})" if only_body else f"a mapping ({words})",
            text=Text(wire=True) if only_body else None,
            mapping=mapping,
        )

    def build(self, value: Any) -> FrameRequest:
        if isinstance(value, str):
            return FrameRequest({self.layout.parts[0]: value}, {})
        parts = {name: value[name] for name in self.layout.parts if value.get(name) is not None}
        return FrameRequest(parts, {name: value[name] for name in self.layout.given})


def request_schema(given: Mapping[str, object]) -> Schema:
    """What a request holds with these settings. Raises BadSetting."""
    return FrameRequestSchema(layout_of(read_settings(LANGUAGE, given)))


LANGUAGE = language(SETTINGS, REQUEST, request_schema)


class FrameTemplate(Struct, frozen=True):
    """One verb's request, compiled."""

    parts: Mapping[str, Template]
    given: Mapping[str, int]

    def fill(self, fields: Mapping[str, str]) -> dict[str, bytes]:
        return {name: template.fill(fields) for name, template in self.parts.items()}


class FramesCodec:
    """A codec.Codec: requests and replies of one program as frames."""

    def __init__(self, program: Program, names: Mapping[str, str], settings: SettingValues) -> None:
        self._program = program
        self._has_greeting = settings[GREETING]
        self.layout = layout_of(settings)
        self._numbers = itertools.count(1)
        self._templates = {
            verb: self._compile(raw, names, request_in(program, verb))
            for verb, raw in program.requests.items()
        }
        self._hello = [
            (self._compile(step.send, names, "speak: handshake"), step.expect)
            for step in settings[HANDSHAKE]
        ]

    @property
    def handshake(self) -> tuple[HandshakeStep, ...]:
        return tuple(
            HandshakeStep(self._encode(template, {}), expect) for template, expect in self._hello
        )

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        template = self._templates.get(request.verb)
        if template is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        return self._encode(template, request.fields)

    def decoder(self, verb: str, sent: bytes = b"") -> FrameDecoder:
        return FrameDecoder(self.layout, sent)

    def greeting(self) -> FrameDecoder | None:
        return FrameDecoder(self.layout) if self._has_greeting else None

    def _encode(self, template: FrameTemplate, fields: Mapping[str, str]) -> bytes:
        number = next(self._numbers) if self.layout.counts_requests else 0
        return encode(self.layout, template.fill(fields), template.given, number)

    def _compile(self, raw: object, names: Mapping[str, str], where: str) -> FrameTemplate:
        request: FrameRequest = read_plain(FrameRequestSchema(self.layout), raw, where)
        parts = {name: compile_template(text, names) for name, text in request.parts.items()}
        return FrameTemplate(parts, request.given)


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks frames. Raises BadSetting or UsageError for mistakes in node.yaml."""
    settings = read_settings(LANGUAGE, program.speak.settings)
    codec = FramesCodec(program, names, settings)
    changes = codec.layout.counts_requests or any(field.time for field in codec.layout.fields)
    return StreamClient(
        codec,
        rules_of(program),
        host,
        port,
        persistent=settings[CONNECTION] == "persistent",
        cacheable=not changes,
    )
