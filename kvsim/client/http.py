"""`speak: http`: HTTP/1.1 in the clear. Pure codec; http_decoder.py reads responses and stream.py carries
them.

A request is `{method, path, headers, body, value}` or the text `GET /keys/{key}`. In a path a field is
percent-encoded unless it says another form; in headers and body it is written as it stands unless it says so:
`{value.json}` (with its quotes), `{key.base64}`, `{value.url}`. What the rules read is the body, byte for
byte, beside status and headers.

`value` says where the value of a reply stands: `raw` (the body), `{json: $.kvs[0].value}` or `{header:
X-Value}`, each with `decode: base64` where needed. A rule `value:` holds only when it is there. Redirects are
never followed: what a `Location` means is for the rules (`headers: {location: "(?P<leader_url>.+)"}`). No
TLS.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from kvsim.client.codec import STREAM_SETTINGS
from kvsim.client.exchange import Request
from kvsim.client.http_decoder import HttpDecoder
from kvsim.client.json_path import find, parse_path, read_json
from kvsim.client.settings import BadSetting, Setting, mapping_of, read_settings, text
from kvsim.client.stream import StreamClient
from kvsim.client.templates import Template, UnknownVerb, Unsendable, compile_template
from kvsim.client.verbs import rules_of
from kvsim.config.program import Program

REQUEST_KEYS = ("method", "path", "headers", "body", "value")


@dataclass(frozen=True)
class Place:
    """Where the value of a reply stands. `where`: raw | json | header."""

    where: str
    path: tuple[str, ...] = ()
    base64: bool = False

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
        if self.where == "json":
            return find(read_json(body), self.path)
        if self.where == "header":
            return headers.get(self.path[0])
        return body.decode("utf-8", "surrogateescape")


def place(raw: object) -> Place:
    """Read a `value:` setting. Raises ValueError."""
    if raw == "raw":
        return Place("raw")
    if not isinstance(raw, Mapping):
        raise ValueError("wants raw, {json: PATH} or {header: NAME}")
    rest = dict(raw)
    decode = rest.pop("decode", "text")
    if len(rest) != 1 or not set(rest) <= {"json", "header", "raw"} or decode not in ("text", "base64"):
        raise ValueError("wants raw, {json: PATH} or {header: NAME}, and beside it at most decode: base64")
    ((where, path),) = rest.items()
    steps = parse_path(str(path)) if where == "json" else (str(path).lower(),)
    return Place(where, steps, decode == "base64")


SETTINGS: dict[str, Setting] = {
    **STREAM_SETTINGS,
    "headers": Setting("headers of every request: name → text", {}, mapping_of(text)),
    "value": Setting(
        "where the value of a reply stands: raw, {json: PATH}, {header: NAME}; + decode: base64", None, place
    ),
}


@dataclass(frozen=True)
class Recipe:
    """One verb's request, compiled."""

    method: str
    path: Template
    headers: Mapping[str, Template]
    body: Template | None
    value: Place | None

    def write(self, fields: Mapping[str, str]) -> bytes:
        """The request's bytes. Raises Unsendable."""
        path = self.path.fill(fields)
        headers = {name: template.fill(fields) for name, template in self.headers.items()}
        for part in (path, *headers.values()):
            if b"\r" in part or b"\n" in part or b"\0" in part:
                raise Unsendable(
                    f"cannot send {part!r} in the head of an HTTP request: it holds a line end or NUL"
                )
        if b" " in path:
            raise Unsendable(
                f"cannot send the path {path!r}: it holds a space; write the field as {{key.url}}"
            )
        body = b"" if self.body is None else self.body.fill(fields)
        if self.body is not None or self.method in ("POST", "PUT", "PATCH"):
            headers.setdefault("content-length", b"%d" % len(body))
        lines = [b"%b %b HTTP/1.1" % (self.method.encode(), path)]
        lines += [b"%b: %b" % (name.title().encode(), value) for name, value in headers.items()]
        return b"\r\n".join([*lines, b"", body])


class HttpCodec:
    """Requests and replies of one program over HTTP."""

    handshake = ()

    def __init__(
        self, program: Program, host: str, names: Mapping[str, str], settings: Mapping[str, object]
    ) -> None:
        self._program = program
        self._settings = settings
        self._host = host
        self._recipes = {verb: self._compile(verb, raw, names) for verb, raw in program.requests.items()}

    def encode(self, request: Request) -> bytes:
        if request.payload is not None:
            return request.payload
        recipe = self._recipes.get(request.verb)
        if recipe is None:
            raise UnknownVerb(self._program.name, request.verb, self._program.requests)
        return recipe.write(request.fields)

    def decoder(self, verb: str) -> HttpDecoder:
        recipe = self._recipes.get(verb)
        where = recipe.value if recipe else None

        def extract(body: bytes, headers: Mapping[str, str]) -> Mapping[str, str | None]:
            return {} if where is None else {"value": where.read(body, headers)}

        limit: int = self._settings["reply_max_bytes"]  # type: ignore[assignment]
        return HttpDecoder(limit, extract, bodiless=recipe is not None and recipe.method == "HEAD")

    def greeting(self) -> None:
        return None

    def _compile(self, verb: str, raw: object, names: Mapping[str, str]) -> Recipe:
        try:
            return self._recipe(_spelled_out(raw), names)
        except ValueError as error:
            raise BadSetting(
                f"program {self._program.name}: request `{verb}`: `speak: http` {error}; got {raw!r}"
            ) from None

    def _recipe(self, raw: Mapping[str, object], names: Mapping[str, str]) -> Recipe:
        given = {**self._settings["headers"], **mapping_of(text)(raw.get("headers", {}))}  # type: ignore[dict-item]
        headers = {"host": self._host, **{name.lower(): value for name, value in given.items()}}
        if self._settings["connection"] == "per_request":
            headers.setdefault("connection", "close")
        return Recipe(
            method=text(raw.get("method", "GET")).upper(),
            path=compile_template(text(raw["path"]), names, form="url"),
            headers={name: compile_template(str(value), names) for name, value in headers.items()},
            body=compile_template(text(raw["body"]), names) if raw.get("body") is not None else None,
            value=place(raw["value"]) if "value" in raw else self._settings["value"],  # type: ignore[arg-type]
        )


def _spelled_out(raw: object) -> Mapping[str, object]:
    """`GET /keys/{key}` as a mapping; a mapping checked for its keys. Raises ValueError."""
    if isinstance(raw, str):
        method, _, path = raw.partition(" ")
        raw = {"method": method, "path": path.strip()}
    if not isinstance(raw, Mapping) or not str(raw.get("path", "")).startswith("/"):
        raise ValueError("wants `METHOD /path` or {method, path, headers, body, value}")
    unknown = set(raw) - set(REQUEST_KEYS)
    if unknown:
        raise ValueError(
            f"knows no {', '.join(sorted(map(str, unknown)))} in a request, but {', '.join(REQUEST_KEYS)}"
        )
    if not text(raw.get("method", "GET")).isalpha():
        raise ValueError("wants a method such as GET or PUT")
    return raw


def connect(program: Program, host: str, port: int, names: Mapping[str, str]) -> StreamClient:
    """A client that speaks HTTP. Raises BadSetting, UsageError for what node.yaml says wrong."""
    settings = read_settings("http", SETTINGS, program.speak.settings)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    codec = HttpCodec(program, address, names, settings)
    return StreamClient(codec, rules_of(program), host, port, lasting=settings["connection"] == "lasting")
