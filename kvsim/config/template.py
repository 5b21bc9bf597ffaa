r"""Templates: `{port}`, `{leader.addr}`, `{all:{name}={addr}|,}` filled in from a mapping of names.

Pure. Only these forms are replaced; configuration files, JSON and shell commands stay as they are:

| written                 | becomes                                                            |
| ----------------------- | ------------------------------------------------------------------ |
| `{name}`, `{leader.id}` | the value of that name; an unknown name is an error                |
| `{{name}}`              | `{name}`, literally                                                |
| `{all:ITEM|SEPARATOR}`  | ITEM for every node, its own names inside it, joined by SEPARATOR  |
| `{others:…}`            | the same without the node itself                                   |
| `{followers:…}`         | the same without leaders                                           |
| `{others*:--peer={addr}}` | as a whole argument of a command: one argument for each node       |
| any other brace         | itself: `{ "a": {} }`, `{"a":1}`, `\d{2}`, `${HOME:-x}`           |

The separator is what follows the last `|` outside braces; `\n` and `\t` in it are a line end and a
tab; without a `|` it is a comma.

`to_bytes` reads raw bytes as a scenario writes them: text with `\r \n \t \0 \\ \xHH`, everything
else UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from kvsim.text import did_you_mean

# Scopes of templates: the names of one node; the same in an argument of a command; the same without
# its role; the same with the fields of a request; the variables of a scenario.
NODE_SCOPE, ARGUMENT_SCOPE, ROLE_SCOPE = "node", "argument", "role"
REQUEST_SCOPE, STEP_SCOPE = "request", "step"
NAME = r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*"
GROUPS = ("all", "others", "followers")
# For the reference page.
FORMS = {
    "{name}": "the value of that name",
    "{{name}}": "`{name}`, literally; all other braces stay as they are",
    "{all:ITEM|SEPARATOR}": "ITEM for every node, its own names inside it, joined: "
    "`{all:{name}={addr}|,}`",
    "{others:ITEM|SEPARATOR}": "the same without the node itself",
    "{followers:ITEM|SEPARATOR}": "the same without leaders",
    "{others*:ITEM}": "as a whole argument of a command: one argument for each node, "
    "`{others*:--peer={addr}}`; `|` in it divides it into several, `{others*:--peer|{addr}}`; also "
    "`all*` and `followers*`; without `:ITEM` the addresses",
}
TOKEN = re.compile(rf"\{{\{{({NAME})\}}\}}|\{{({NAME})\}}|\{{({'|'.join(GROUPS)}):")
# A whole argument of a command that becomes one argument for each node, or several.
SPREAD = re.compile(rf"\{{({'|'.join(GROUPS)})\*(?::(.*))?\}}", re.DOTALL)
MARKED = re.compile(rf"\{{(?:{'|'.join(GROUPS)})\*[:}}]")
ESCAPES = {"\\n": "\n", "\\t": "\t", "\\\\": "\\"}


class TemplateError(ValueError):
    """A template that cannot be read or filled in; the message is one line for the author."""


class Name(Struct, frozen=True):
    """One `{name}`."""

    name: str


class Each(Struct, frozen=True):
    """One `{all:…}`: `item` for every node of `group`, joined by `separator`."""

    group: str
    item: tuple[Part, ...]
    separator: str


Part = str | Name | Each


class Known(Struct, frozen=True):
    """The names a template may use, and those inside a list. `*` in a name matches any one part."""

    names: frozenset[str]
    item_names: frozenset[str] = frozenset()

    def has(self, name: str, inside: bool) -> bool:
        return _is_in(name, self.names) or (inside and _is_in(name, self.item_names))


def parse(text: str) -> tuple[Part, ...]:
    """Split into texts, names and lists. Raises TemplateError for a list without its end."""
    parts: list[Part] = []
    index = 0
    while match := TOKEN.search(text, index):
        if match.start() > index:
            parts.append(text[index : match.start()])
        if match[3]:
            end = _closing(text, match.end())
            parts.append(_each(match[3], text[match.end() : end]))
            index = end + 1
        else:
            parts.append(Name(match[2]) if match[2] else "{" + match[1] + "}")
            index = match.end()
    return (*parts, text[index:]) if index < len(text) else tuple(parts)


def render(text: str, names: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """Fill in `names`: name → value, and group (`all`, `others`, `followers`) → a sequence of such
    mappings, one for each node.

    `quote` is applied to every value. Raises TemplateError for a name without a value.
    """
    return "".join(_fill(part, names, names, quote) for part in parse(text))


def render_pattern(text: str, names: Mapping[str, Any]) -> str:
    """`render` for a regular expression: values match themselves."""
    return render(text, names, quote=re.escape)


def render_words(text: str, names: Mapping[str, Any]) -> tuple[str, ...]:
    """`render` for one argument of a command, which may become one for each node, or several."""
    match = SPREAD.fullmatch(text)
    if match is None:
        return (render(text, names),)
    parts = _divided("{addr}" if match[2] is None else match[2])
    return tuple(
        render(part, {**names, **row}) for row in names.get(match[1], ()) for part in parts
    )


def _divided(body: str) -> list[str]:
    """The parts between bars outside braces."""
    parts: list[str] = []
    while (cut := _last_bar(body)) is not None:
        body, part = body[:cut], body[cut + 1 :]
        parts.append(part)
    return [body, *reversed(parts)]


def names_in(text: str) -> frozenset[str]:
    """Every name of the template outside lists."""
    return frozenset(part.name for part in parse(text) if isinstance(part, Name))


def mistakes(text: str, known: Known, *, argument: bool = False) -> list[str]:
    """One line for each name in the template that is not in `known`.

    `argument`: it is an argument of a command, and may become several.
    """
    spread = SPREAD.fullmatch(text) if argument else None
    if spread is not None:
        inside = Known(known.names | known.item_names, known.item_names)
        body = "{addr}" if spread[2] is None else spread[2]
        return [line for part in _divided(body) for line in mistakes(part, inside)]
    if MARKED.search(text):
        return ["{others*…} and the like must be a whole argument of a command"]
    try:
        parts = parse(text)
    except TemplateError as error:
        return [str(error)]
    return list(_unknown(parts, known, inside=False))


def _unknown(parts: tuple[Part, ...], known: Known, inside: bool) -> Iterable[str]:
    for part in parts:
        if isinstance(part, Name) and not known.has(part.name, inside):
            words = known.names | known.item_names if inside else known.names
            hint = did_you_mean(part.name, (word for word in words if "*" not in word))
            literal = f"(literal braces: {{{{{part.name}}}}})"
            yield f"{{{part.name}}} is no known name here{hint} {literal}"
        elif isinstance(part, Each):
            if not known.item_names:
                yield f"{{{part.group}:…}} is not allowed here"
            yield from _unknown(part.item, known, inside=True)


def _fill(
    part: Part, names: Mapping[str, Any], outer: Mapping[str, Any], quote: Callable[[str], str]
) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Each):
        rows = outer.get(part.group, ())
        return part.separator.join(
            "".join(_fill(p, row, outer, quote) for p in part.item) for row in rows
        )
    value = names.get(part.name, outer.get(part.name))
    if value is None:
        known = did_you_mean(part.name, _texts(outer))
        raise TemplateError(f"{{{part.name}}} has no value here{known}")
    return quote(str(value))


def _texts(names: Mapping[str, Any]) -> list[str]:
    return [name for name, value in names.items() if isinstance(value, str | int)]


def _closing(text: str, start: int) -> int:
    """The index of the brace that closes a list; `start` is the index after its colon."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return index
    raise TemplateError("a list such as {all:{name}={addr}|,} is never closed by a }")


def _each(group: str, body: str) -> Each:
    cut = _last_bar(body)
    item, separator = (body, ",") if cut is None else (body[:cut], body[cut + 1 :])
    return Each(group, parse(item), re.sub(r"\\[nt\\]", lambda m: ESCAPES[m[0]], separator))


def _last_bar(body: str) -> int | None:
    depth, found = 0, None
    for index, character in enumerate(body):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "|" and not depth:
            found = index
    return found


def _is_in(name: str, known: frozenset[str]) -> bool:
    if name in known:
        return True
    parts = name.split(".")
    return len(parts) > 2 and ".".join((parts[0], "*", *parts[2:])) in known


ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
LETTERS = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def to_bytes(text: str) -> bytes:
    """The bytes of the text. Raises ValueError, one line for the author, for an unknown escape."""
    parts: list[bytes] = []
    start = 0
    for match in ESCAPE.finditer(text):
        parts.append(text[start : match.start()].encode())
        parts.append(_escaped(match))
        start = match.end()
    parts.append(text[start:].encode())
    return b"".join(parts)


def _escaped(match: re.Match[str]) -> bytes:
    if match[1]:
        return bytes.fromhex(match[1])
    if match[2] not in LETTERS:
        raise ValueError(f"unknown escape {match[0]}; known: \\r \\n \\t \\0 \\\\ and \\xHH")
    return LETTERS[match[2]]
