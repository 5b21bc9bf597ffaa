"""Shapes of one text: words, numbers, times, patterns. What a language adds of its own (a size, a signal) is made like these."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from kvsim.config.shape.base import WRONG, OfScalar, Reading
from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Scalar, quoted
from kvsim.limits import Written

ANY_SCALAR = ["string", "number", "boolean"]  # what YAML may make of a text that we keep as text


class Text(OfScalar):
    """Any text as typed. `template`: the scope of names its `{…}` may use. `wire`: may hold NUL. `pattern`: whole text."""

    def __init__(
        self,
        means: str = "a text",
        *,
        pattern: str = "",
        template: str = "",
        wire: bool = False,
        examples: tuple[str, ...] = (),
    ) -> None:
        self.means, self.scope, self.wire, self.examples = means, template, wire, examples
        self.pattern = re.compile(pattern) if pattern else None

    def take(self, node: Scalar, reading: Reading) -> Any:
        if not self.wire and "\0" in node.text:
            reading.say(node, "a NUL character cannot stand here")
            return WRONG
        if self.pattern and not self.pattern.fullmatch(node.text):
            return reading.expected(node, self.means)
        if self.scope:
            reading.templates.append((node, self.scope))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        if self.pattern:
            return {"type": ANY_SCALAR, "pattern": f"^(?:{self.pattern.pattern})$"}
        return {"type": ANY_SCALAR}


class Word(OfScalar):
    """One of a few words; `words` maps each to its meaning (docs) or is a plain tuple."""

    def __init__(
        self, words: Mapping[str, str] | tuple[str, ...], *, as_value: Callable[[str], Any] = str
    ) -> None:
        self.words = dict(words) if isinstance(words, Mapping) else dict.fromkeys(words, "")
        self.as_value = as_value
        self.means = "one of " + ", ".join(self.words) if len(self.words) > 1 else next(iter(self.words))

    def take(self, node: Scalar, reading: Reading) -> Any:
        if node.text in self.words:
            return self.as_value(node.text)
        reading.say(node, f"expected a known word, found {node.said()}{did_you_mean(node.text, self.words)}")
        return WRONG

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Flag(OfScalar):
    """`true` or `false` (also yes, no, on, off)."""

    means = "true or false"
    WORDS: ClassVar[dict[str, bool]] = {
        "true": True,
        "yes": True,
        "on": True,
        "false": False,
        "no": False,
        "off": False,
    }

    def take(self, node: Scalar, reading: Reading) -> Any:
        value = self.WORDS.get(node.text.lower())
        return reading.expected(node, self.means) if value is None else value

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [True, False, *self.WORDS]}


class Int(OfScalar):
    """A whole number between two bounds, written in plain decimal digits."""

    DIGITS = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")

    def __init__(self, low: int, high: int, what: str = "a whole number") -> None:
        self.low, self.high = low, high
        self.means = f"{what} from {low} to {high}"

    def take(self, node: Scalar, reading: Reading) -> Any:
        if not self.DIGITS.fullmatch(node.text) or not self.low <= int(node.text) <= self.high:
            return reading.expected(node, self.means)
        return int(node.text)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Duration(OfScalar):
    """A time with its unit, read into seconds: `500ms`, `2s`, `1.5s`, `1m`, `1h`; at most a day."""

    means = "a time with its unit, such as 500ms, 2s or 1m"
    WRITTEN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
    UNITS: ClassVar[dict[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    MAX_S = 86400.0

    def take(self, node: Scalar, reading: Reading) -> Any:
        match = self.WRITTEN.fullmatch(node.text)
        if not match:
            return reading.expected(node, self.means)
        seconds = float(match[1]) * self.UNITS[match[2]]
        return seconds if seconds <= self.MAX_S else reading.expected(node, "at most 24h")

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.WRITTEN.pattern})$"}


class TimeLimit(Duration):
    """How long something may take at most. What is written here is a promise, which a default (`Own`) is not."""

    def take(self, node: Scalar, reading: Reading) -> Any:
        seconds = super().take(node, reading)
        return Written(seconds) if isinstance(seconds, float) else seconds


class Shift(Duration):
    """A time with a direction, read into seconds: `+30s` ahead, `-500ms` behind, `0s` not at all."""

    means = "a time with its sign and unit, such as +30s or -500ms"
    SIGNED = re.compile(rf"([+-]?)({Duration.WRITTEN.pattern})")

    def take(self, node: Scalar, reading: Reading) -> Any:
        match = self.SIGNED.fullmatch(node.text)
        if not match:
            return reading.expected(node, self.means)
        seconds = super().take(node._replace(text=match[2]), reading)
        return -seconds if match[1] == "-" and seconds is not WRONG else seconds

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.SIGNED.pattern})$"}


class Factor(OfScalar):
    """A positive number with or without decimals, between two bounds."""

    DIGITS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")

    def __init__(self, low: float, high: float, what: str = "a number") -> None:
        self.low, self.high = low, high
        self.means = f"{what} from {low:g} to {high:g}"

    def take(self, node: Scalar, reading: Reading) -> Any:
        if not self.DIGITS.fullmatch(node.text) or not self.low <= float(node.text) <= self.high:
            return reading.expected(node, self.means)
        return float(node.text)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


class Pattern(OfScalar):
    """A regular expression (Python's `re`), compiled here to see that it is one; the text is kept."""

    means = "a regular expression"

    def __init__(self, *, template: str = "", group: bool = False) -> None:
        self.scope, self.group = template, group

    def take(self, node: Scalar, reading: Reading) -> Any:
        compiled = compile_pattern(node, reading)
        if compiled is None:
            return WRONG
        if self.group and compiled.groups != 1:
            reading.say(
                node, f"expected a regular expression with exactly one ( ) group, found {compiled.groups}"
            )
            return WRONG
        if self.scope:
            reading.templates.append((node, self.scope))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": ANY_SCALAR, "description": "a regular expression (Python's `re`), searched"}


def compile_pattern(node: Scalar, reading: Reading) -> re.Pattern[str] | None:
    """Compile the text; a mistake or a construct `re` warns about is one problem, and None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(node.text)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        reading.say(node, f"{quoted(node.text)} is not a regular expression: {error or 'nested too deep'}")
        return None
