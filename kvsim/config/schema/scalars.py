"""Schemas of one text: words, numbers, times, patterns, signals.

A language may add others (a size, an address) in the same way.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from kvsim.config.schema.base import WRONG, ScalarSchema, Validation, hint
from kvsim.config.yaml_nodes import Scalar, quote
from kvsim.patterns import repeats_repetition
from kvsim.timeouts import UserTimeout

# The pattern of names that are keys of a mapping.
WORD = r"[a-z][a-z0-9_]*"
# What an editor's YAML parser may make of a value that kvsim keeps as text.
ANY_SCALAR = ["string", "number", "boolean"]
# Signals that end a process by default. STOP and CONT end none: a pause is a fault.
SIGNALS = ("TERM", "INT", "QUIT", "HUP", "KILL", "ABRT", "USR1", "USR2", "SEGV")


class Text(ScalarSchema):
    """Any text as typed.

    `template`: the scope of names that its `{…}` may use. `wire`: it may hold NUL. `pattern`: a
    regular expression for the whole text. `empty`: whether `""` is one too.
    """

    def __init__(
        self,
        expected: str = "a text",
        *,
        pattern: str = "",
        template: str = "",
        wire: bool = False,
        empty: bool = True,
    ) -> None:
        self.expected, self.template, self.wire, self.empty = expected, template, wire, empty
        self.pattern = re.compile(pattern) if pattern else None

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if not self.wire and "\0" in node.text:
            validation.report(node, "a NUL character is not allowed here")
            return WRONG
        if not self.empty and not node.text:
            return validation.report_expected(node, self.expected)
        if self.pattern and not self.pattern.fullmatch(node.text):
            return validation.report_expected(node, self.expected)
        if self.template:
            validation.templates.append((node, self.template))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        if self.pattern:
            return {"type": ANY_SCALAR, "pattern": f"^(?:{self.pattern.pattern})$"}
        return {"type": ANY_SCALAR} if self.empty else {"type": ANY_SCALAR, "pattern": "."}


class Choice(ScalarSchema):
    """One of a few words. `words` maps each to its description, or is a plain tuple.

    `result` makes the typed value of a word, for instance an enum's.
    """

    def __init__(
        self, words: Mapping[str, str] | tuple[str, ...], *, result: Callable[[str], Any] = str
    ) -> None:
        self.words = dict(words) if isinstance(words, Mapping) else dict.fromkeys(words, "")
        self.result = result
        self.expected = ("one of " if len(self.words) > 1 else "") + ", ".join(self.words)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if node.text in self.words:
            return node.text
        found = f"{node.describe()}{hint(node.text, self.words)}"
        validation.report(node, f"expected a known word, found {found}")
        return WRONG

    def build(self, value: Any) -> Any:
        return self.result(value)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Flag(ScalarSchema):
    """`true` or `false` (also yes, no, on, off)."""

    expected = "true or false"
    WORDS: ClassVar[dict[str, bool]] = {
        "true": True,
        "yes": True,
        "on": True,
        "false": False,
        "no": False,
        "off": False,
    }

    def parse(self, node: Scalar, validation: Validation) -> Any:
        value = self.WORDS.get(node.text.lower())
        return validation.report_expected(node, self.expected) if value is None else value

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [True, False, *self.WORDS]}


class Int(ScalarSchema):
    """A whole number between two bounds, written in plain decimal digits."""

    DIGITS = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")

    def __init__(self, low: int, high: int, noun: str = "a whole number") -> None:
        self.low, self.high = low, high
        self.expected = f"{noun} from {low} to {high}"

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if not self.DIGITS.fullmatch(node.text) or not self.low <= int(node.text) <= self.high:
            return validation.report_expected(node, self.expected)
        return int(node.text)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Duration(ScalarSchema):
    """A time with its unit, read into seconds: `500ms`, `2s`, `1.5s`, `1m`, `1h`; at most a day.

    `zero`: whether `0s` is a time too.
    """

    expected = "a time with its unit, such as 500ms, 2s or 1m"
    SYNTAX = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
    # For JSON Schema: a time that is only zeros.
    ZERO = r"0+(?:\.0+)?(?:ms|s|m|h)$"
    UNITS: ClassVar[dict[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    MAX_S = 86400.0

    def __init__(self, *, zero: bool = False) -> None:
        self.zero = zero

    def parse(self, node: Scalar, validation: Validation) -> Any:
        seconds = self.seconds(node.text)
        if seconds is None:
            return validation.report_expected(node, self.expected)
        if seconds > self.MAX_S:
            return validation.report_expected(node, "at most 24h")
        if not seconds and not self.zero:
            return validation.report_expected(node, "a time above 0")
        return seconds

    @classmethod
    def seconds(cls, text: str) -> float | None:
        """The seconds of a time with its unit; None: it is none."""
        match = cls.SYNTAX.fullmatch(text)
        return float(match[1]) * cls.UNITS[match[2]] if match else None

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        nonzero = "" if self.zero else f"(?!{self.ZERO})"
        return {"type": "string", "pattern": f"^{nonzero}(?:{self.SYNTAX.pattern})$"}


class TimeLimit(Duration):
    """How long something may take at most.

    Reads into a `UserTimeout`: a user's limit is a requirement, and a `DefaultTimeout` is none.
    """

    def parse(self, node: Scalar, validation: Validation) -> Any:
        seconds = super().parse(node, validation)
        return UserTimeout(seconds) if isinstance(seconds, float) else seconds


class Shift(Duration):
    """A time with a direction, read into seconds: `+30s` ahead, `-500ms` behind, `0s` neither."""

    expected = "a time with its sign and unit, such as +30s or -500ms"
    SIGNED = re.compile(rf"([+-]?)({Duration.SYNTAX.pattern})")

    def __init__(self) -> None:
        super().__init__(zero=True)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        match = self.SIGNED.fullmatch(node.text)
        if not match:
            return validation.report_expected(node, self.expected)
        seconds = super().parse(node._replace(text=match[2]), validation)
        return -seconds if match[1] == "-" and seconds is not WRONG else seconds

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.SIGNED.pattern})$"}


class Factor(ScalarSchema):
    """A positive number with or without decimals, between two bounds."""

    DIGITS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")

    def __init__(self, low: float, high: float, noun: str = "a number") -> None:
        self.low, self.high = low, high
        self.expected = f"{noun} from {low:g} to {high:g}"

    def parse(self, node: Scalar, validation: Validation) -> Any:
        if not self.DIGITS.fullmatch(node.text) or not self.low <= float(node.text) <= self.high:
            return validation.report_expected(node, self.expected)
        return float(node.text)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


def signal_of(text: str) -> str | None:
    """A signal that ends a process, without SIG. None: the text names no such signal."""
    name = text.upper().removeprefix("SIG")
    return name if name in SIGNALS else None


class Signal(ScalarSchema):
    """A signal's name, with or without SIG; read without."""

    expected = "a signal that ends a process: " + ", ".join(SIGNALS)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        name = signal_of(node.text)
        return name or validation.report_expected(node, self.expected)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [*SIGNALS, *("SIG" + name for name in SIGNALS)]}


class Pattern(ScalarSchema):
    """A regular expression (Python's `re`). It is compiled to check it; the value is its text.

    `group`: it must have exactly one group.
    """

    expected = "a regular expression"

    def __init__(self, *, template: str = "", group: bool = False) -> None:
        self.template, self.group = template, group

    def parse(self, node: Scalar, validation: Validation) -> Any:
        compiled = compile_pattern(node, validation)
        if compiled is None:
            return WRONG
        if self.group and compiled.groups != 1:
            expected = "expected a regular expression with exactly one ( ) group"
            validation.report(node, f"{expected}, found {compiled.groups}")
            return WRONG
        if self.template:
            validation.templates.append((node, self.template))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": ANY_SCALAR, "description": "a regular expression (Python's `re`), searched"}


def compile_pattern(node: Scalar, validation: Validation) -> re.Pattern[str] | None:
    """Compile the text. A mistake, a construct that `re` warns of, or a pattern that may never end
    is one problem, and None.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(node.text)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        why = str(error) or "nested too deep"
        validation.report(node, f"{quote(node.text)} is not a regular expression: {why}")
        return None
    if repeats_repetition(node.text):
        validation.report(
            node,
            f"{quote(node.text)} repeats a repetition, as `(.+)+` does, and may never end: "
            "`.+` matches the same",
        )
        return None
    return compiled
