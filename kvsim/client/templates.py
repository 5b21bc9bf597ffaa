"""Request templates of node.yaml → bytes. Pure; knows nothing of sockets or of how a request is framed.

`{key}` and `{value}` are the request's own fields, `{port}` and the like the node's names. A field may say
how it is written: `{value.json}`, `{key.url}`, `{value.base64}`, `{value.bytes}` (its length in bytes,
decimal), `{key.u16}` (its length in binary). `{0x00ff}` is two bytes as they stand. `{{key}}` is the literal
text `{key}`; all other braces are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from kvsim.config.template import NAME
from kvsim.errors import UsageError

_PLACE = re.compile(rf"\{{(\{{{NAME}\}})\}}|\{{({NAME})\}}|\{{0x((?:[0-9a-fA-F]{{2}})+)\}}")


class UnknownVerb(UsageError):
    """A request whose verb the program does not describe."""

    def __init__(self, program: str, verb: str, verbs: Mapping[str, object]) -> None:
        self.program, self.verb = program, verb
        known = ", ".join(verbs) or "none at all"
        super().__init__(f"program {program} describes no request `{verb}`; it has {known}")


class Unsendable(UsageError):
    """A request that this protocol cannot carry. kvsim's own limit: nothing was sent, and the store was not
    asked.
    """


def to_bytes(text: str) -> bytes:
    """UTF-8; surrogates made from bytes that were not UTF-8 become those bytes again."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise Unsendable(
            f"cannot send {text!r}: it holds a lone surrogate, which is no text ({error.reason})"
        ) from None


def _json(data: bytes) -> bytes:
    import json

    return json.dumps(data.decode("utf-8", "surrogateescape"), ensure_ascii=True).encode()


def _url(data: bytes) -> bytes:
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(data, safe="").encode()


def _base64(data: bytes) -> bytes:
    from base64 import b64encode

    return b64encode(data)


def _length(size: int, order: str, data: bytes) -> bytes:
    try:
        return len(data).to_bytes(size, order)  # type: ignore[arg-type]
    except OverflowError:
        raise Unsendable(
            f"cannot send {len(data)} bytes: their length does not fit into {size} bytes"
        ) from None


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "json": _json,
    "url": _url,
    "base64": _base64,
    "bytes": lambda data: b"%d" % len(data),
    **{f"u{8 * size}": partial(_length, size, "big") for size in (1, 2, 4, 8)},
    **{f"u{8 * size}le": partial(_length, size, "little") for size in (2, 4, 8)},
}
COUNTING = frozenset(FORMS) - {"raw", "json", "url", "base64"}
SAFE = frozenset(FORMS) - {"raw"}  # forms that cannot smuggle a line end into a request


@dataclass(frozen=True)
class Field:
    """A place for one of the request's fields, and the form it is written in."""

    name: str
    form: str


@dataclass(frozen=True)
class Template:
    """A compiled template: literal bytes and places."""

    parts: tuple[bytes | Field, ...]

    def fill(self, fields: Mapping[str, str]) -> bytes:
        """The bytes. Raises UsageError when the request lacks a field that the template names."""
        return b"".join([part if isinstance(part, bytes) else _fill(part, fields) for part in self.parts])

    @property
    def loose(self) -> frozenset[str]:
        """Fields written raw without their length standing beside them: a line end in one would break a line
        protocol.
        """
        fields = [part for part in self.parts if isinstance(part, Field)]
        counted = {field.name for field in fields if field.form in COUNTING}
        return frozenset(field.name for field in fields if field.form not in SAFE) - counted


def compile_template(text: str, names: Mapping[str, str], form: str = "raw") -> Template:
    """`text` with the node's `names` filled in and places for the rest; plain ones are written in `form`."""
    parts: list[bytes | Field] = []
    position = 0
    for match in _PLACE.finditer(text):
        parts += [to_bytes(text[position : match.start()]), _place(match, names, form)]
        position = match.end()
    parts.append(to_bytes(text[position:]))
    return Template(_joined(parts))


def _place(match: re.Match[str], names: Mapping[str, str], form: str) -> bytes | Field:
    literal, name, hexadecimal = match.groups()
    if literal:
        return to_bytes(literal)
    if hexadecimal:
        return bytes.fromhex(hexadecimal)
    if name in names:
        return to_bytes(str(names[name]))
    field, dot, written = name.partition(".")
    if not dot:
        return Field(name, form)
    if written not in FORMS:
        raise UsageError(
            f"request template: {{{name}}} is neither a name of the node nor a field in one of the forms "
            + ", ".join(FORMS)
        )
    return Field(field, written)


def _joined(parts: list[bytes | Field]) -> tuple[bytes | Field, ...]:
    """Neighbouring literals made one, empty ones left out."""
    joined: list[bytes | Field] = []
    for part in parts:
        if isinstance(part, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += part
        elif part != b"":
            joined.append(part)
    return tuple(joined)


def _fill(field: Field, fields: Mapping[str, str]) -> bytes:
    try:
        value = fields[field.name]
    except KeyError:
        given = ", ".join(fields) or "nothing"
        raise UsageError(f"the request needs a {field.name}; it was given {given}") from None
    data = to_bytes(value)
    return data if field.form == "raw" else FORMS[field.form](data)
