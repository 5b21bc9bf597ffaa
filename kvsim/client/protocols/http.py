"""HTTP/1.1 requests, without TLS.

A request is `{method, path, headers, body, value}` or the text `GET /keys/{key}`. In a path, a
field is percent-encoded unless it names another form. In headers and body it is written as it is
unless it names a form: `{value.json}` (with its quotes), `{key.base64}`, `{value.url}`. The outcome
rules read the body, byte for byte, and the status and the headers.

`value` is where the value of a reply is: `raw` (the body), `{json: $.kvs[0].value}` or `{header:
X-Value}`, each with `decode: base64` where needed. A rule `value:` matches only when a value is
there. Redirects are never followed: the rules decide what a `Location` means (`headers: {location:
"(?P<leader_url>.+)"}`).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kvsim.client.codec import CONNECTION, PORT, REPLY_MAX_BYTES, HandshakeStep
from kvsim.client.exchange import Request
from kvsim.client.http_decoder import HttpDecoder
from kvsim.client.json_path import find, find_value, parse_path, read_json
from kvsim.client.outcomes import rules_of
from kvsim.client.settings import (
    ProtocolSetting,
    SettingValues,
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
)
from kvsim.config.program import Program
from kvsim.config.schema import (
    WRONG,
    ByNodeKind,
    Choice,
    Field,
    Flag,
    MapOf,
    Record,
    Text,
    Validation,
)
from kvsim.config.yaml_nodes import Scalar

# Methods whose requests have a body, so that an empty one is announced too.
BODY_METHODS = ("POST", "PUT", "PATCH")
# Verbs that change nothing at the node.
READING = {"get", "ping"}


class ValueLocation(Struct, frozen=True):
    """Where the value of a reply is.

    `kind` is raw, json or header. `path` holds the steps of a JSON path, or the name of a header.
    `omitted`: the value of a JSON object that lacks the last name of the path.
    """

    kind: str
    path: tuple[str, ...] = ()
    base64: bool = False
    omitted: str | None = None

    def read(self, body: bytes, headers: Mapping[str, str]) -> str | None:
        """The value, or None when it is not there."""
        found = self._find(body, headers)
        if found is None or not self.base64:
            return found
        try:
            return b64decode(found, validate=True).decode("utf-8", "surrogateescape")
        except (binascii.Error, ValueError):
            return None

    def _find(self, body: bytes, headers: Mapping[str, str]) -> str | None:
        if self.kind == "json":
            return self._find_json(read_json(body))
        if self.kind == "header":
            return headers.get(self.path[0])
        return body.decode("utf-8", "surrogateescape")

    def _find_json(self, document: object) -> str | None:
        found = find(document, self.path)
        if found is None and self.omitted is not None and self.path:
            *above, name = self.path
            holder = find_value(document, tuple(above))
            if isinstance(holder, dict) and name not in holder:
                return self.omitted
        return found


class JsonPath(Text):
    """Where a value is in a JSON document."""

    expected = "a JSON path such as $.kvs[0].value"

    def __init__(self) -> None:
        super().__init__(self.expected)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        try:
            parse_path(node.text)
        except ValueError as error:
            validation.report(node, str(error))
            return WRONG
        return node.text


def make_location(
    *, raw: bool | None, json: str | None, header: str | None, decode: str, omitted: str | None
) -> ValueLocation:
    base64 = decode == "base64"
    if json is not None:
        return ValueLocation("json", parse_path(json), base64, omitted)
    return (
        ValueLocation("header", (header.lower(),), base64)
        if header
        else ValueLocation("raw", (), base64)
    )


VALUE_LOCATION = ByNodeKind(
    "raw (the body), {json: PATH} or {header: NAME}, with `decode: base64` where needed",
    text=Choice({"raw": "the body"}, result=lambda _: ValueLocation("raw")),
    mapping=Record(
        "value",
        {
            "raw": Field(Flag(), "the body"),
            "json": Field(JsonPath(), "where it is in a JSON body"),
            "header": Field(Text("a header's name"), "the header that holds it"),
            "decode": Field(Choice(("text", "base64")), "how it is written", default="text"),
            "omitted": Field(
                Text("a value"),
                "with `json`: the value where the object lacks the last name of the path; protobuf "
                "leaves out what is empty",
            ),
        },
        one_of=("raw", "json", "header"),
        result=make_location,
    ),
)
TEXTS = MapOf(Text(wire=True))
HEADERS: ProtocolSetting[Mapping[str, str]] = ProtocolSetting(
    "headers", "headers of every request: name → text", TEXTS, {}
)
VALUE: ProtocolSetting[ValueLocation | None] = ProtocolSetting(
    "value", "where the value of a reply is", VALUE_LOCATION, None
)


class HttpRequest(Struct, frozen=True):
    """One verb's request as node.yaml describes it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str | None
    value: ValueLocation | None


class RequestLine(Text):
    """A request in one line: `GET /keys/{key}`."""

    def __init__(self) -> None:
        super().__init__("a request such as GET /keys/{key}", pattern=r"[A-Za-z]+ +/.*", wire=True)

    def build(self, value: Any) -> HttpRequest:
        method, _, path = value.partition(" ")
        return HttpRequest(method, path.strip(), {}, None, None)


REQUEST = ByNodeKind(
    "`METHOD /path`, or a mapping (method, path, headers, body, value)",
    text=RequestLine(),
    mapping=Record(
        "request",
        {
            "method": Field(
                Text("a method such as GET or PUT", pattern="[A-Za-z]+"),
                "the method",
                default="GET",
                default_text="GET",
            ),
            "path": Field(
                Text("a path that begins with /", pattern="/.*", wire=True),
                "the path; fields are percent-encoded",
                required=True,
            ),
            "headers": Field(TEXTS, "headers: name → text", default={}),
            "body": Field(Text(wire=True), "the body"),
            "value": Field(VALUE_LOCATION, "where the value of its reply is"),
        },
        result=HttpRequest,
    ),
)
LANGUAGE = language(table(CONNECTION, PORT, REPLY_MAX_BYTES, HEADERS, VALUE), REQUEST)


class HttpTemplate(Struct, frozen=True):
    """One verb's request, compiled. The names of headers are in lower case."""

    method: str
    path: Template
    headers: Mapping[str, Template]
    body: Template | None
    value: ValueLocation | None

    def write(self, fields: Mapping[str, str]) -> bytes:
        """The request's bytes. Raises Unsendable."""
        path = self.path.fill(fields)
        headers = {name: template.fill(fields) for name, template in self.headers.items()}
        for part in (path, *headers.values()):
            if b"\r" in part or b"\n" in part or b"\0" in part:
                problem = "it contains a line end or NUL"
                raise Unsendable(f"cannot send {part!r} in the head of an HTTP request: {problem}")
        if b" " in path:
            problem = "it contains a space; write the field as {key.url}"
            raise Unsendable(f"cannot send the path {path!r}: {problem}")
        body = b"" if self.body is None else self.body.fill(fields)
        if self.body is not None or self.method in BODY_METHODS:
            headers.setdefault("content-length", b"%d" % len(body))
        lines = [b"%b %b HTTP/1.1" % (self.method.encode(), path)]
        lines += [b"%b: %b" % (name.title().encode(), value) for name, value in headers.items()]
        return b"\r\n".join([*lines, b"", body])


class HttpCodec:
    """A codec.Codec: requests and replies of one program over HTTP."""

    handshake: tuple[HandshakeStep, ...] = ()

    def __init__(
        self, program: Program, host: str, names: Mapping[str, str], settings: SettingValues
    ) -> None:
        self._program = program
        self._settings = settings
        self._host = host
        self._templates = {
            verb: self._compile(verb, raw, names) for verb, raw in program.requests.items()
        }

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        template = self._templates.get(request.verb)
        if template is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        return template.write(request.fields)

    def decoder(self, verb: str, sent: bytes = b"") -> HttpDecoder:
        template = self._templates.get(verb)
        location = template.value if template else None

        def extract(body: bytes, headers: Mapping[str, str]) -> Mapping[str, str | None]:
            return {} if location is None else {"value": location.read(body, headers)}

        no_body = template is not None and template.method == "HEAD"
        return HttpDecoder(self._settings[REPLY_MAX_BYTES], extract, no_body=no_body)

    def greeting(self) -> None:
        return None

    def _compile(self, verb: str, raw: object, names: Mapping[str, str]) -> HttpTemplate:
        request: HttpRequest = read_plain(REQUEST, raw, request_in(self._program, verb))
        common: Mapping[str, str] = self._settings[HEADERS]
        given = {**common, **request.headers}
        headers = {"host": self._host, **{name.lower(): value for name, value in given.items()}}
        if self._settings[CONNECTION] == "per_request":
            headers.setdefault("connection", "close")
        return HttpTemplate(
            method=request.method.upper(),
            path=compile_template(request.path, names, form="url"),
            headers={name: compile_template(value, names) for name, value in headers.items()},
            body=None if request.body is None else compile_template(request.body, names),
            value=request.value or self._settings[VALUE],
        )


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks HTTP. Raises BadSetting or UsageError for mistakes in node.yaml."""
    settings = read_settings(LANGUAGE, program.speak.settings)
    own_status = {program.status.request} if program.status else set()
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return StreamClient(
        HttpCodec(program, address, names, settings),
        rules_of(program),
        host,
        port,
        persistent=settings[CONNECTION] == "persistent",
        repeatable={verb for verb in program.requests if base_verb(verb) in READING | own_status},
    )
