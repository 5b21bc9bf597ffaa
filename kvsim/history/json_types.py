"""Types of JSON values: what a file that anybody may have edited is checked against before it is
used.

A type is a value that finds the first problem of another value. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
# A value of any type may be nested so deep.
DEPTH_MAX = 50
SHOWN_MAX = 40

# Where it is (keys and positions, outermost first), and what is wrong there.
JsonProblem = tuple[tuple[str | int, ...], str]


class JsonType(Protocol):
    """What a value may be."""

    def problem(self, value: Any) -> JsonProblem | None:
        """The first problem of a value that `json.loads` returned; None: it has the type."""
        ...


def problem_text(type_: JsonType, value: Any) -> str:
    """The first problem as text, such as `nodes.n1.id: expected a whole number, found "x"`; empty
    when there is none.
    """
    found = type_.problem(value)
    if found is None:
        return ""
    path, message = found
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return f"{where.removeprefix('.')}: {message}" if where else message


def _expected(what: str, value: Any) -> JsonProblem:
    shown = json.dumps(value, default=str) if _is_scalar(value) else _container_name(value)
    cut = shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}…"
    return (), f"expected {what}, found {cut}"


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _container_name(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object"


class Plain(Struct, frozen=True):
    """A value that `accepts` accepts; `name` is what to call it."""

    name: str
    accepts: Callable[[Any], bool]

    def problem(self, value: Any) -> JsonProblem | None:
        return None if self.accepts(value) else _expected(self.name, value)


def _is_int(value: Any) -> bool:
    return type(value) is int and INT_MIN <= value <= INT_MAX


def _is_number(value: Any) -> bool:
    return _is_int(value) or (type(value) is float and math.isfinite(value))


TEXT = Plain("a text", lambda value: type(value) is str)
# Bytes are written as text with one character for each.
BYTES = Plain("bytes", lambda value: type(value) is str and all(char <= "\xff" for char in value))
BOOL = Plain("true or false", lambda value: type(value) is bool)
INT = Plain("a whole number of 64 bits", _is_int)
COUNT = Plain("a whole number from 0", lambda value: _is_int(value) and value >= 0)
POSITIVE = Plain("a whole number from 1", lambda value: _is_int(value) and value >= 1)
NUMBER = Plain("a number", _is_number)
# Seconds of a run. The limit keeps nanoseconds within 64 bits.
SECONDS = Plain("seconds from 0", lambda value: _is_number(value) and 0 <= value <= 1e9)


class OneOf(Struct, frozen=True):
    """One of these texts."""

    words: Iterable[str]

    def problem(self, value: Any) -> JsonProblem | None:
        if type(value) is str and value in self.words:
            return None
        return _expected(" or ".join(map(str, self.words)), value)


class Maybe(Struct, frozen=True):
    """A value of the type, or null."""

    of: JsonType

    def problem(self, value: Any) -> JsonProblem | None:
        return None if value is None else self.of.problem(value)


class JsonList(Struct, frozen=True):
    """A list whose items have the type."""

    of: JsonType

    def problem(self, value: Any) -> JsonProblem | None:
        if not isinstance(value, list):
            return _expected("a list", value)
        return _first(enumerate(value), self.of)


class JsonMap(Struct, frozen=True):
    """An object whose values have the type, and whose keys have the type `keys`."""

    of: JsonType
    keys: JsonType = TEXT

    def problem(self, value: Any) -> JsonProblem | None:
        if not isinstance(value, dict):
            return _expected("an object", value)
        for key in value:
            if (found := self.keys.problem(key)) is not None:
                return (), f"key: {found[1]}"
        return _first(value.items(), self.of)


class AnyJson(Struct, frozen=True):
    """Any value that JSON can express: no number that is infinite or has more than 64 bits."""

    depth: int = DEPTH_MAX

    def problem(self, value: Any) -> JsonProblem | None:
        if isinstance(value, dict | list):
            if not self.depth:
                return (), f"nested deeper than {DEPTH_MAX}"
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return _first(items, AnyJson(self.depth - 1))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return NUMBER.problem(value)
        return None


ANY = AnyJson()


class JsonObject(Struct, frozen=True):
    """An object with these fields; those in `optional` may be missing.

    Other fields may hold anything (a later version may have added them), unless it is `closed`.
    `rule` finds what is wrong with an object whose fields are right one by one; empty text:
    nothing.
    """

    required: Mapping[str, JsonType]
    optional: Mapping[str, JsonType] = field(default_factory=dict)
    closed: bool = False
    rule: Callable[[Mapping[str, Any]], str] = lambda fields: ""

    def problem(self, value: Any) -> JsonProblem | None:
        if not isinstance(value, dict):
            return _expected("an object", value)
        for name in self.required:
            if name not in value:
                return (), f"`{name}` is missing"
        for name, content in value.items():
            type_ = self.required.get(name) or self.optional.get(name)
            if type_ is None and self.closed:
                return (), f"unknown field {json.dumps(name)[:SHOWN_MAX]}"
            if (found := (type_ or ANY).problem(content)) is not None:
                return (name, *found[0]), found[1]
        broken = self.rule(value)
        return ((), broken) if broken else None


class Later(Struct, frozen=True):
    """A type that is looked up when it is needed, for types that contain themselves."""

    of: Callable[[], JsonType]

    def problem(self, value: Any) -> JsonProblem | None:
        return self.of().problem(value)


def _first(items: Iterable[tuple[str | int, Any]], type_: JsonType) -> JsonProblem | None:
    for key, value in items:
        if (found := type_.problem(value)) is not None:
            return (key, *found[0]), found[1]
    return None
