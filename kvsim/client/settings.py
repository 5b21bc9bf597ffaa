"""The settings of a protocol: each protocol file declares a table of them, and reads `speak` with it. Pure.

The tables are what the documentation and the validation of node.yaml are made of; nothing else knows a
setting's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvsim.errors import UsageError

TRUE_WORDS = frozenset({"true", "yes", "on"})
FALSE_WORDS = frozenset({"false", "no", "off"})


class BadSetting(UsageError):
    """A protocol setting in node.yaml that cannot be used."""


@dataclass(frozen=True)
class Setting:
    """One setting. `read` turns YAML's text, number, list or mapping into its value and raises ValueError
    saying what it wants.
    """

    description: str
    default: object
    read: Callable[[object], object]


def read_settings(kind: str, table: Mapping[str, Setting], given: Mapping[str, object]) -> dict[str, object]:
    """Name → value for every setting of `table`, defaults filled in. Raises BadSetting for unknown names and
    bad values.
    """
    values = {name: setting.default for name, setting in table.items()}
    for name, raw in given.items():
        if name not in table:
            raise BadSetting(f"speak: {kind} has no setting `{name}`; it has {', '.join(sorted(table))}")
        try:
            values[name] = table[name].read(raw)
        except (ValueError, TypeError) as error:
            raise BadSetting(f"speak: {kind}: setting `{name}`: {error}; got {raw!r}") from None
    return values


def text(raw: object) -> str:
    """Any scalar, as text."""
    if isinstance(raw, (list, tuple, Mapping)):
        raise ValueError("wants text")
    return str(raw)


def whole(least: int, most: int) -> Callable[[object], int]:
    """A whole number in a range."""

    def read(raw: object) -> int:
        words = str(raw)
        if not words.isascii() or not words.isdecimal() or not least <= int(words) <= most:
            raise ValueError(f"wants a whole number from {least} to {most}")
        return int(words)

    return read


def truth(raw: object) -> bool:
    """A boolean, also in the words YAML lets people write."""
    word = str(raw).lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError("wants true or false")
    return word in TRUE_WORDS


def one_of(*words: str) -> Callable[[object], str]:
    """One word of a few."""

    def read(raw: object) -> str:
        if str(raw) not in words:
            raise ValueError(f"wants one of {', '.join(words)}")
        return str(raw)

    return read


def mapping_of(read_value: Callable[[object], object]) -> Callable[[object], Mapping[str, object]]:
    """A mapping whose values are all read the same way."""

    def read(raw: object) -> Mapping[str, object]:
        if not isinstance(raw, Mapping):
            raise ValueError("wants a mapping")
        return {str(name): read_value(value) for name, value in raw.items()}

    return read


def pattern(raw: object) -> str:
    """A regular expression."""
    try:
        re.compile(text(raw))
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from None
    return text(raw)


def shakes(raw: object) -> tuple[tuple[object, str], ...]:
    """The steps of a handshake: a request template, and the pattern its reply must match."""
    if not isinstance(raw, (list, tuple)) or not all(
        isinstance(step, Mapping) and "send" in step for step in raw
    ):
        raise ValueError("wants a list of {send: …, expect: PATTERN}")
    return tuple((step["send"], pattern(step.get("expect", ""))) for step in raw)
