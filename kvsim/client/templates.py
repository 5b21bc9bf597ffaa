"""Request templates of node.yaml → bytes. Framing is the subject of the protocols.

`{key}` and `{value}` are fields of the request, `{port}` and the like are names of the node. A
field may name the form in which it is written: `{value.json}`, `{key.url}`, `{value.base64}`,
`{value.bytes}` (its length in bytes, decimal), `{key.u16}` (its length in binary). `{0x00ff}` is
two bytes. `{{key}}` is the literal text `{key}`. All other braces are text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from msgspec import Struct

from kvsim.config.program import Program
from kvsim.config.template import NAME
from kvsim.errors import UsageError

_FIELD = re.compile(rf"\{{(\{{{NAME}\}})\}}|\{{({NAME})\}}|\{{0x((?:[0-9a-fA-F]{{2}})+)\}}")


class UnknownVerb(UsageError):
    """A request whose verb the program does not describe."""

    def __init__(self, program: str, verb: str, verbs: Mapping[str, object]) -> None:
        self.program, self.verb = program, verb
        known = ", ".join(verbs) or "none"
        super().__init__(f"program {program} describes no request `{verb}`; it has {known}")


class Unsendable(UsageError):
    """A request that this protocol cannot carry. The limit is kvsim's: nothing was sent."""


def base_verb(verb: str) -> str:
    """The verb of a part of a request: parts of `put` are `put 1`, `put 2`."""
    return verb.partition(" ")[0]


def request_in(program: Program, verb: str) -> str:
    """Where a request is described, for messages."""
    return f"program {program.name}: request `{verb}`: `speak: {program.speak.kind}`"


def to_bytes(text: str) -> bytes:
    """Text as UTF-8; a surrogate that stands for a byte becomes that byte. Raises Unsendable."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        problem = f"it contains a lone surrogate, which is not text ({error.reason})"
        raise Unsendable(f"cannot send {text!r}: {problem}") from None


def _json(data: bytes) -> bytes:
    import json

    return json.dumps(data.decode("utf-8", "surrogateescape"), ensure_ascii=True).encode()


def _url(data: bytes) -> bytes:
    from urllib.parse import quote_from_bytes

    return quote_from_bytes(data, safe="").encode()


def _base64(data: bytes) -> bytes:
    from base64 import b64encode

    return b64encode(data)


def _length(size: int, order: Literal["big", "little"], data: bytes) -> bytes:
    try:
        return len(data).to_bytes(size, order)
    except OverflowError:
        problem = f"their length does not fit into {size} bytes"
        raise Unsendable(f"cannot send {len(data)} bytes: {problem}") from None


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "json": _json,
    "url": _url,
    "base64": _base64,
    "bytes": lambda data: b"%d" % len(data),
    **{f"u{8 * size}": partial(_length, size, "big") for size in (1, 2, 4, 8)},
    **{f"u{8 * size}le": partial(_length, size, "little") for size in (2, 4, 8)},
}
# Forms that write the length of a field.
COUNTING = frozenset(FORMS) - {"raw", "json", "url", "base64"}
# Forms that never write a line end.
SAFE = frozenset(FORMS) - {"raw"}


class TemplateField(Struct, frozen=True):
    """A field of the request in a template, and the form in which it is written."""

    name: str
    form: str


class Template(Struct, frozen=True):
    """A compiled template: literal bytes and fields."""

    parts: tuple[bytes | TemplateField, ...]

    def fill(self, fields: Mapping[str, str]) -> bytes:
        """The bytes. Raises UsageError when the request lacks a field that the template names."""
        return b"".join(
            [part if isinstance(part, bytes) else _fill(part, fields) for part in self.parts]
        )

    @property
    def raw_fields(self) -> frozenset[str]:
        """Fields written raw and without their length; a line end in one breaks a line protocol."""
        fields = [part for part in self.parts if isinstance(part, TemplateField)]
        counted = {field.name for field in fields if field.form in COUNTING}
        return frozenset(field.name for field in fields if field.form not in SAFE) - counted


def raw_endings(template: Template) -> dict[str, str]:
    """Field → the text that follows it in the template, for fields written raw without length."""
    parts, fields = template.parts, template.raw_fields
    return {
        part.name: following.decode("utf-8", "surrogateescape")
        for part, following in itertools.pairwise(parts)
        if isinstance(part, TemplateField) and part.name in fields and isinstance(following, bytes)
    }


def compile_template(text: str, names: Mapping[str, str], form: str = "raw") -> Template:
    """`text` with the node's `names` filled in. Fields that name no form are written in `form`.

    Raises UsageError for a form that does not exist.
    """
    parts: list[bytes | TemplateField] = []
    position = 0
    for match in _FIELD.finditer(text):
        parts += [to_bytes(text[position : match.start()]), _part(match, names, form)]
        position = match.end()
    parts.append(to_bytes(text[position:]))
    return Template(_joined(parts))


def _part(match: re.Match[str], names: Mapping[str, str], form: str) -> bytes | TemplateField:
    literal, name, hexadecimal = match.groups()
    if literal:
        return to_bytes(literal)
    if hexadecimal:
        return bytes.fromhex(hexadecimal)
    if name in names:
        return to_bytes(str(names[name]))
    field, dot, own_form = name.partition(".")
    if not dot:
        return TemplateField(name, form)
    if own_form not in FORMS:
        problem = f"{{{name}}} is neither a name of the node nor a field in one of the forms"
        raise UsageError(f"request template: {problem} {', '.join(FORMS)}")
    return TemplateField(field, own_form)


def _joined(parts: list[bytes | TemplateField]) -> tuple[bytes | TemplateField, ...]:
    """The parts without empty literals; literals beside each other become one."""
    joined: list[bytes | TemplateField] = []
    for part in parts:
        if isinstance(part, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += part
        elif part != b"":
            joined.append(part)
    return tuple(joined)


def _fill(field: TemplateField, fields: Mapping[str, str]) -> bytes:
    try:
        value = fields[field.name]
    except KeyError:
        given = ", ".join(fields) or "nothing"
        raise UsageError(f"the request needs a {field.name}; it was given {given}") from None
    data = to_bytes(value)
    return data if field.form == "raw" else FORMS[field.form](data)
