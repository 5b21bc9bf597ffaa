"""Templates: `{port}`, `{leader.addr}`, `{all:{name}={addr}|,}` filled in from a mapping of names. Pure; knows no name itself.

Only these forms are touched, so that configuration files, JSON and shell survive as they are:

| written                 | becomes                                                            |
| ----------------------- | ------------------------------------------------------------------ |
| `{name}`, `{leader.id}` | the value of that name; a name nobody knows is an error            |
| `{{name}}`              | `{name}`, literally                                                |
| `{all:ITEM|SEPARATOR}`  | ITEM for every node, its own names inside it, joined by SEPARATOR  |
| `{others:…}`            | the same without the node itself                                   |
| `{followers:…}`         | the same without leaders                                           |
| any other brace         | itself: `{ "a": {} }`, `{"a":1}`, `\\d{2}`, `${HOME:-x}`           |

The separator is what follows the last `|` that stands outside braces; `\\n` and `\\t` in it are a line end and a tab;
without a `|` it is a comma.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kvsim.config.spelling import did_you_mean

NAME = r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*"
GROUPS = ("all", "others", "followers")
FORMS = {  # for the reference page
    "{name}": "the value of that name",
    "{{name}}": "`{name}`, literally; all other braces stay as they are",
    "{all:ITEM|SEPARATOR}": "ITEM for every node, its own names inside it, joined: `{all:{name}={addr}|,}`",
    "{others:ITEM|SEPARATOR}": "the same without the node itself",
    "{followers:ITEM|SEPARATOR}": "the same without leaders",
}
TOKEN = re.compile(rf"\{{\{{({NAME})\}}\}}|\{{({NAME})\}}|\{{({'|'.join(GROUPS)}):")
ESCAPES = {"\\n": "\n", "\\t": "\t", "\\\\": "\\"}


class TemplateError(ValueError):
    """A template that cannot be read or filled in; the message is one line for the author."""


@dataclass(frozen=True)
class Name:
    """One `{name}`."""

    name: str


@dataclass(frozen=True)
class Each:
    """One `{all:…}`: `item` for every node of `group`, joined by `separator`."""

    group: str
    item: tuple[Part, ...]
    separator: str


Part = str | Name | Each


@dataclass(frozen=True)
class Known:
    """The names a template may use, and those inside a list. `*` in a name stands for any one part."""

    names: frozenset[str]
    item_names: frozenset[str] = frozenset()

    def has(self, name: str, inside: bool) -> bool:
        return _is_in(name, self.names) or (inside and _is_in(name, self.item_names))


def parse(text: str) -> tuple[Part, ...]:
    """Split into literal texts, names and lists. Raises TemplateError for a list that is never closed."""
    parts: list[Part] = []
    at = 0
    while match := TOKEN.search(text, at):
        if match.start() > at:
            parts.append(text[at : match.start()])
        if match[3]:
            end = _closing(text, match.end())
            parts.append(_each(match[3], text[match.end() : end]))
            at = end + 1
        else:
            parts.append(Name(match[2]) if match[2] else "{" + match[1] + "}")
            at = match.end()
    return (*parts, text[at:]) if at < len(text) else tuple(parts)


def render(text: str, names: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """Fill in `names`: name → value, and group (`all`, `others`, `followers`) → a sequence of such mappings, one a node.

    `quote` is applied to every value filled in. Raises TemplateError for a name that is not there.
    """
    return "".join(_fill(part, names, names, quote) for part in parse(text))


def render_pattern(text: str, names: Mapping[str, Any]) -> str:
    """`render` for a regular expression: values match themselves."""
    return render(text, names, quote=re.escape)


def names_in(text: str) -> frozenset[str]:
    """Every name the template mentions outside lists."""
    return frozenset(part.name for part in parse(text) if isinstance(part, Name))


def mistakes(text: str, known: Known) -> list[str]:
    """One line for each name in the template that `known` does not hold; empty when all is well."""
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
            yield f"{{{part.name}}} is no name that can stand here{hint} (literal braces: {{{{{part.name}}}}})"
        elif isinstance(part, Each):
            if not known.item_names:
                yield f"{{{part.group}:…}} cannot stand here"
            yield from _unknown(part.item, known, inside=True)


def _fill(part: Part, names: Mapping[str, Any], outer: Mapping[str, Any], quote: Callable[[str], str]) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Each):
        rows = outer.get(part.group, ())
        return part.separator.join("".join(_fill(p, row, outer, quote) for p in part.item) for row in rows)
    value = names.get(part.name, outer.get(part.name))
    if value is None:
        raise TemplateError(f"{{{part.name}}} has no value here{did_you_mean(part.name, _texts(outer))}")
    return quote(str(value))


def _texts(names: Mapping[str, Any]) -> list[str]:
    return [name for name, value in names.items() if isinstance(value, str | int)]


def _closing(text: str, start: int) -> int:
    """Where the brace that closes a list stands; `start` is just behind its colon."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return at
    raise TemplateError("a list such as {all:{name}={addr}|,} is never closed by a }")


def _each(group: str, body: str) -> Each:
    cut = _last_bar(body)
    item, separator = (body, ",") if cut is None else (body[:cut], body[cut + 1 :])
    return Each(group, parse(item), re.sub(r"\\[nt\\]", lambda m: ESCAPES[m[0]], separator))


def _last_bar(body: str) -> int | None:
    depth, found = 0, None
    for at, character in enumerate(body):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "|" and not depth:
            found = at
    return found


def _is_in(name: str, known: frozenset[str]) -> bool:
    if name in known:
        return True
    parts = name.split(".")
    return len(parts) > 2 and ".".join((parts[0], "*", *parts[2:])) in known
