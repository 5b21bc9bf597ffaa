"""Values of other tools as text, so that different values never get the same text.

Histories of other tools hold numbers, booleans, keywords, maps; kvsim's columns hold strings. While
a file is read, a string is its text behind a quotation mark, and every other value is its literal
(`1`, `true`, `:a`, `{:a 1}`), which never begins with one. `readable` removes the marks where that
makes no two values equal. Equal maps and sets have one literal, in any order of their items.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction

from msgspec import Struct

QUOTE = '"'
# What a literal can begin with; a string that begins so is shown in quotation marks.
LITERAL_BEGINS = frozenset("0123456789+-.:[{(#\\'\"^")
LITERAL_WORDS = frozenset({"true", "false", "nil", "null"})


class Keyword(str):
    """A keyword of EDN, with its colon. As a key of a map it is equal to its text."""

    __slots__ = ()


class Symbol(Struct, frozen=True):
    """A symbol of EDN, or a token that is nothing else."""

    text: str


class Character(Struct, frozen=True):
    """A character of EDN."""

    text: str


class RegularExpression(Struct, frozen=True):
    """A regular expression, as it is written."""

    text: str


class Members(Struct, frozen=True, eq=False):
    """The members of a set, in the order in which they are written."""

    items: Sequence[object]


class Pairs(Struct, frozen=True, eq=False):
    """The keys and values of a map, in the order in which they are written."""

    items: Sequence[tuple[object, object]]


class Tagged(Struct, frozen=True, eq=False):
    """A value with a tag of EDN, such as `#inst "2026-01-01"`."""

    tag: str
    value: object


def encode(value: object) -> str | None:
    """The text of a value while a file is read: see the module. None is absent."""
    if value is None:
        return None
    if type(value) is str and _is_unicode(value):
        return QUOTE + value
    return literal(value)


def literal(value: object) -> str:
    """A value as it is written in EDN, maps and sets in one order."""
    if isinstance(value, Keyword):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value) if _is_unicode(value) else f"#surrogates {json.dumps(value)}"
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal | float):
        return _real(value)
    if isinstance(value, int | Fraction):
        return str(value)
    if isinstance(value, Symbol):
        return f"'{value.text}"
    if isinstance(value, Character):
        return f"\\{value.text}"
    if isinstance(value, RegularExpression):
        return f'#"{value.text}"'
    if isinstance(value, bytes):
        return f'#bytes "{value.hex()}"'
    return _collection(value)


def _real(value: Decimal | float) -> str:
    """A decimal or float; equal ones have one literal: `0.0` and `-0.0`, `1.0M` and `1.00M`."""
    if isinstance(value, Decimal):
        digits = len(value.as_tuple().digits)
        exact = Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN, clamp=0)
        return f"{value.normalize(exact) or Decimal(0)}M"
    if not math.isfinite(value):
        return "##NaN" if math.isnan(value) else "##Inf" if value > 0 else "##-Inf"
    return str(value or 0.0)


def _collection(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(literal, value))}]"
    if isinstance(value, Members):
        return f"#{{{' '.join(sorted(map(literal, value.items)))}}}"
    if isinstance(value, dict):
        value = Pairs(list(value.items()))
    if isinstance(value, Pairs):
        pairs = sorted(f"{literal(key)} {literal(item)}" for key, item in value.items)
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, Tagged):
        return f"#{value.tag} {literal(value.value)}"
    raise TypeError(f"no literal of {type(value).__name__}")


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: it has no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def all_strings(texts: Sequence[str | None]) -> bool:
    """Whether every encoded value is a string, or absent."""
    return all(text is None or text.startswith(QUOTE) for text in texts)


def readable(texts: Sequence[str | None]) -> list[str | None]:
    """Encoded values as they are shown: as different from each other as before.

    Strings among strings are their text. Beside other values, a string that could be one of them
    (`1`, `true`, `:a`) is shown in quotation marks.
    """
    if all_strings(texts):
        return [None if text is None else text[1:] for text in texts]
    return [None if text is None else shown(text) for text in texts]


def shown(text: str) -> str:
    """An encoded value beside values of other types."""
    if not text.startswith(QUOTE):
        return text
    string = text[1:]
    if not string or string[0] in LITERAL_BEGINS or string in LITERAL_WORDS:
        return json.dumps(string, ensure_ascii=False)
    return string
