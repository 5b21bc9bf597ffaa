"""A parser of EDN (https://github.com/edn-format/edn) and of what Clojure prints beside it.

It reads line by line, so that a history of any size needs the memory of one operation. Strings,
integers, floats, nil, true and false are Python's; decimals, ratios, keywords, symbols, characters,
regular expressions, sets and tagged values are those of `typed_values`. A list is a vector. A map
is a dict where its keys are keywords, and Pairs otherwise. Comments, what
`#_` discards and metadata are left out. The names of Jepsen's and Knossos' records are dropped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from msgspec import Struct, field

from kvsim.history.typed_values import (
    Character,
    Keyword,
    Members,
    Pairs,
    RegularExpression,
    Symbol,
    Tagged,
    literal,
)

TOKEN = re.compile(
    r"""(?P<space>[\s,]+|;[^\n]*)
      | (?P<keyword>:[^\s,;"\\^(){}\[\]]+)
      | (?P<close>[\])}])
      | (?P<open>\#?\{|[\[(])
      | (?P<string>\#?"(?:[^"\\]|\\.)*")
      | (?P<cut>\#?"(?:[^"\\]|\\.)*\\?\Z)
      | (?P<number>[+-]?[0-9][^\s,;"\\^(){}\[\]]*)
      | (?P<drop>\#_|\^|\#\^)
      | (?P<character>\\(?:[A-Za-z][A-Za-z0-9]*|.))
      | (?P<special>\#\#[A-Za-z-]+|\#<[^>\n]*>)
      | (?P<tag>\#:{0,2}[A-Za-z][^\s,;"\\^(){}\[\]]*)
      | (?P<symbol>[^\s,;"\\^(){}\[\]\#][^\s,;"\\^(){}\[\]]*)""",
    re.VERBOSE | re.DOTALL,
)
# Integers, nil, plain strings without a nil in them, and vectors of these. An integer is taken
# whole: tried in all its parts, a long number would take for ever.
SIMPLE = re.compile(r"""(?:[\[\]\s-]|[0-9]{1,18}+(?![0-9])|nil|"(?:(?!nil)[A-Za-z0-9_.:/-])*")*""")
# Numbers, as Clojure reads them: decimal, hexadecimal, octal, or with a radix up to 36.
DECIMAL = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
INTEGER = re.compile(
    r"([+-]?)(?:(0|[1-9][0-9]*)|0[xX]([0-9A-Fa-f]+)|0([0-7]+)|([1-9][0-9]?)[rR]([0-9A-Za-z]+))N?"
)
RATIO = re.compile(r"[+-]?[0-9]+/[0-9]+")
FLOAT = re.compile(r"(?![+-]?[0-9]+\Z)([+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)(M?)")
SPECIAL_FLOATS = {"##Inf": math.inf, "##-Inf": -math.inf, "##NaN": math.nan}
SEPARATORS = re.compile(r"[\s,]+")
# A whole line that is a map of keywords to plain values, as nearly all lines are: keywords,
# integers, nil, true, false, strings without escapes, vectors of vectors of anything plain.
PLAIN_STRING = r'"[^"\\]*"'
PLAIN_KEYWORD = r":[A-Za-z][A-Za-z0-9_.*!?/-]*"
PLAIN_ITEMS = rf'(?:[^\[\]"\\{{}}()#;^]|{PLAIN_STRING})*'
PLAIN_VECTOR = rf"\[{PLAIN_ITEMS}(?:\[{PLAIN_ITEMS}\]{PLAIN_ITEMS})*\]"
PLAIN_WORD = rf"{PLAIN_KEYWORD}|-?(?:0|[1-9][0-9]{{0,17}})|nil|true|false"
PLAIN_VALUE = rf"(?:{PLAIN_WORD}|{PLAIN_STRING}|{PLAIN_VECTOR})(?=[\s,}}])"
PLAIN_MAP = re.compile(rf"[\s,]*\{{(?:{PLAIN_KEYWORD}\s+{PLAIN_VALUE}[\s,]*)+\}}[\s,]*")
PLAIN_PAIR = re.compile(rf"({PLAIN_KEYWORD})\s+({PLAIN_VALUE})")
STRING_END = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|o?[0-7]{1,3}|.)", re.DOTALL)
SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
CLOSERS = {"{": "}", "#{": "}", "[": "]", "(": ")"}
WORDS: dict[str, Any] = {"nil": None, "true": True, "false": False}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "b": "\b", "f": "\f", "/": "/"}
CHARACTERS = {
    "newline": "\n",
    "return": "\r",
    "space": " ",
    "tab": "\t",
    "formfeed": "\f",
    "backspace": "\b",
}
# Records of these print as maps or pairs with the name of their class as a tag.
RECORDS = ("jepsen.", "knossos.", "clojure.")
DEPTH_MAX = 100
# Longer numbers are not read: no history has one, and they take quadratic time.
DIGITS_MAX = 1_000


class EdnError(ValueError):
    """Text that is not EDN. `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        self.line, self.what = line, what
        super().__init__(f"line {line}: {what}")


class _Collection(Struct):
    """A collection that is not closed yet. `pending`: tags (and None, a discard) before a value."""

    opener: str
    line: int
    items: list[Any] = field(default_factory=list)
    pending: list[str | None] = field(default_factory=list)


def values(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """(line on which it begins, value) of every top-level value. Raises EdnError.

    The items of a top-level vector or list are yielded one by one. Each line ends with its
    newline, the last one may not.
    """
    top = _Collection("", 1)
    stack, tokens = [top], _Tokens()
    for number, text in enumerate(lines, 1):
        frame = stack[-1]
        between = (frame is top or (len(stack) == 2 and frame.opener in "[(")) and not frame.pending
        found = _plain_map(text) if between and not tokens.pieces else None
        if found is None:
            yield from _items(stack, tokens.of(number, text))
        else:
            yield number, found
    tokens.finish()
    if len(stack) > 1:
        raise EdnError(stack[-1].line, f"{stack[-1].opener!r} is never closed")


def _items(
    stack: list[_Collection], tokens: Iterable[tuple[int, str, str]]
) -> Iterator[tuple[int, Any]]:
    """The top-level values that end in the tokens of a line. `stack`: the open collections."""
    top = stack[0]
    for line, kind, token in tokens:
        if kind == "open":
            if len(stack) > DEPTH_MAX:
                raise EdnError(line, f"nested deeper than {DEPTH_MAX}")
            stack.append(_Collection(token, line))
            continue
        if kind == "tag" or kind == "drop":
            stack[-1].pending.append(token[1:] if kind == "tag" else None)
            continue
        if kind == "close":
            value, line = _closed(stack, token, line)
            if len(stack) == 1 and isinstance(value, list):
                _finish_stream(top)
                continue
        else:
            value = PARSERS[kind](token, line)
        frame = stack[-1]
        if frame.pending:
            value, dropped = _prefixed(frame.pending, value, line)
            if dropped:
                continue
        if frame is top or (len(stack) == 2 and frame.opener in "[("):
            yield line, value
        else:
            frame.items.append(value)


def _plain_map(line: str) -> dict[Keyword, Any] | None:
    """The map that is all of a line, read in a third of the time; None: not a plain one."""
    if not PLAIN_MAP.fullmatch(line):
        return None
    pairs = PLAIN_PAIR.findall(line)
    try:
        found = {Keyword(key): _plain_value(text) for key, text in pairs}
    except EdnError:
        return None
    return found if len(found) == len(pairs) else None


def _plain_value(text: str) -> Any:
    first = text[0]
    if first == ":":
        return Keyword(text)
    if first == '"':
        return text[1:-1]
    if first == "[":
        return parse(text)[0]
    return WORDS[text] if text in WORDS else int(text)


def parse(text: str) -> list[Any]:
    """The values in a text, each whole. Raises EdnError."""
    if SIMPLE.fullmatch(text):
        # Nearly all values of a log: they are JSON but for their separators, and read fast as such.
        try:
            return [json.loads(SEPARATORS.sub(",", text.replace("nil", "null")))]
        except (ValueError, RecursionError):
            pass
    # Inside two vectors a vector is not at the top: its items are not yielded one by one.
    (_, found), *more = values([f"[[{text}\n]]"])
    if more or not isinstance(found, list):
        raise EdnError(1, "a collection is closed that is not open")
    return found


def _finish_stream(top: _Collection) -> None:
    """The end of a top-level collection whose items were yielded; its tags mean nothing."""
    top.pending.clear()


class _Tokens:
    """The tokens of lines, read one after another. `pieces`: of a string that is still open."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.begun = 0

    def of(self, number: int, text: str) -> Iterator[tuple[int, str, str]]:
        """(line on which it begins, kind, text) of every token but spaces and comments."""
        position = 0
        if self.pieces:
            end = STRING_END.match(text)
            self.pieces.append(text if end is None else end.group())
            if end is None:
                return
            yield self.begun, "string", "".join(self.pieces)
            self.pieces, position = [], end.end()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise EdnError(number, f"cannot read {text[position : position + 20]!r}")
            kind = match.lastgroup or ""
            if kind == "cut":
                self.pieces, self.begun = [match.group()], number
            elif kind != "space":
                yield number, kind, match.group()
            position = match.end()

    def finish(self) -> None:
        """Raise EdnError when a string is still open."""
        if self.pieces:
            raise EdnError(self.begun, "a string is never closed")


def _closed(stack: list[_Collection], token: str, line: int) -> tuple[Any, int]:
    if CLOSERS.get(stack[-1].opener) != token:
        raise EdnError(line, f"{token!r} closes nothing")
    frame = stack.pop()
    if frame.pending:
        raise EdnError(line, "a tag or a discard has no value")
    if frame.opener == "{":
        return _map(frame), frame.line
    if frame.opener != "#{":
        return frame.items, frame.line
    _different(frame.items, frame.line, "a set has an item twice")
    return Members(frame.items), frame.line


def _map(frame: _Collection) -> dict[Keyword, Any] | Pairs:
    keys, items = frame.items[::2], frame.items[1::2]
    if len(keys) != len(items):
        raise EdnError(frame.line, "a map has a key without a value")
    if all(type(key) is Keyword for key in keys):
        found = dict(zip(keys, items, strict=True))
        if len(found) < len(keys):
            raise EdnError(frame.line, "a map has a key twice")
        return found
    _different(keys, frame.line, "a map has a key twice")
    return Pairs(list(zip(keys, items, strict=True)))


def _different(items: list[Any], line: int, what: str) -> None:
    """Raise EdnError when two items are equal."""
    if len(set(map(literal, items))) < len(items):
        raise EdnError(line, what)


def _prefixed(pending: list[str | None], value: Any, line: int) -> tuple[Any, bool]:
    """A value with the tags before it, and whether it is discarded."""
    while pending:
        tag = pending.pop()
        if tag is None:
            return None, True
        value = _tagged(tag, value)
    return value, False


def _tagged(tag: str, value: Any) -> Any:
    if tag.startswith(":"):
        return _in_namespace(tag.lstrip(":"), value)
    return value if tag.startswith(RECORDS) else Tagged(tag, value)


def _in_namespace(name: str, value: Any) -> Any:
    """`#:a{:b 1}` is `{:a/b 1}`."""
    if not isinstance(value, dict):
        return Tagged(f":{name}", value)
    return {
        key if "/" in key else Keyword(f":{name}/{key[1:]}"): item for key, item in value.items()
    }


def _string(token: str, line: int) -> str | RegularExpression:
    if token[0] == "#":
        return RegularExpression(token[2:-1])
    text = token[1:-1]
    if "\\" not in text:
        return text

    def escaped(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        if re.fullmatch(r"o?[0-7]{1,3}", code):
            return chr(int(code.lstrip("o"), 8))
        if code not in ESCAPES:
            raise EdnError(line, f"\\{code} is not an escape of a string")
        return ESCAPES[code]

    return SURROGATES.sub(_joined, ESCAPE.sub(escaped, text))


def _joined(match: re.Match[str]) -> str:
    return match.group().encode("utf-16", "surrogatepass").decode("utf-16")


def _character(token: str, line: int) -> Character:
    name = token[1:]
    if len(name) == 1 or name in CHARACTERS:
        return Character(CHARACTERS.get(name, name))
    code = re.fullmatch(r"u([0-9A-Fa-f]{4})|o([0-3]?[0-7]{1,2})", name)
    if code is None:
        raise EdnError(line, f"{token} is not a character")
    character = chr(int(code[1], 16) if code[1] else int(code[2], 8))
    return Character(character if character.isprintable() else f"u{ord(character):04x}")


def _number(token: str, line: int) -> Any:
    """An integer, a float, a decimal or a ratio. Raises EdnError for anything else."""
    if len(token) > DIGITS_MAX:
        raise EdnError(line, f"a number of {len(token)} characters")
    if DECIMAL.fullmatch(token):
        return int(token)
    try:
        return _other_number(token)
    except (ValueError, ZeroDivisionError, InvalidOperation) as error:
        raise EdnError(line, f"{token} is not a number") from error


def _other_number(token: str) -> Any:
    """A number that is not written as a plain integer. Raises ValueError, ZeroDivisionError."""
    if integer := INTEGER.fullmatch(token):
        sign, decimal, hexadecimal, octal, radix, digits = integer.groups()
        if radix:
            value = int(digits, int(radix))
        elif octal:
            value = int(octal, 8)
        else:
            value = int(hexadecimal, 16) if hexadecimal else int(decimal)
        return -value if sign == "-" else value
    if RATIO.fullmatch(token):
        ratio = Fraction(token)
        return ratio.numerator if ratio.denominator == 1 else ratio
    if not (real := FLOAT.fullmatch(token)):
        raise ValueError(token)
    return Decimal(real[1]) if real[2] else float(real[1])


def _keyword(token: str, line: int) -> Keyword:
    return Keyword(token)


def _symbol(token: str, line: int) -> Any:
    return WORDS[token] if token in WORDS else Symbol(token)


PARSERS: dict[str, Callable[[str, int], Any]] = {
    "keyword": _keyword,
    "string": _string,
    "number": _number,
    "character": _character,
    "symbol": _symbol,
    "special": lambda token, line: SPECIAL_FLOATS.get(token, Symbol(token)),
}
