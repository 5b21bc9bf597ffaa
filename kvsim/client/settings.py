"""The settings of protocols: each protocol declares a table of them and reads `speak` with it.

The documentation, the JSON Schema and the validation of node.yaml are made from these tables. No
other module knows the name of a setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct

from kvsim.config.program import Speak
from kvsim.config.protocol_schema import ProtocolLanguage
from kvsim.config.schema import (
    WRONG,
    Choice,
    Field,
    Int,
    ListOf,
    Pattern,
    Record,
    Schema,
    Validation,
)
from kvsim.config.yaml_nodes import SourceLocation, tree_of
from kvsim.errors import UsageError

Value = TypeVar("Value")


class BadSetting(UsageError):
    """A setting or a request in node.yaml that a protocol cannot use."""


class ProtocolSetting(Struct, Generic[Value], frozen=True):
    """One setting of a protocol. `schema` reads it and makes the value.

    `default_text` is how the docs show the default.
    """

    name: str
    description: str
    schema: Schema
    default: Value
    default_text: str = ""


Table = Mapping[str, ProtocolSetting[Any]]


def table(*settings: ProtocolSetting[Any]) -> Table:
    """Settings by name."""
    return {setting.name: setting for setting in settings}


def language(
    settings: Table,
    request: Schema,
    request_with: Callable[[Mapping[str, object]], Schema] | None = None,
) -> ProtocolLanguage:
    """What a protocol adds to node.yaml: its settings, and what a request holds.

    `request_with`: what one holds with given settings, where it depends on them.
    """
    return ProtocolLanguage(
        {
            name: Field(
                setting.schema,
                setting.description,
                default=setting.default,
                default_text=setting.default_text,
            )
            for name, setting in settings.items()
        },
        request,
        request_with or (lambda _: request),
    )


class SettingValues:
    """The value of each setting of a protocol: `values[PROMPT]` has the type of PROMPT."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, setting: ProtocolSetting[Value]) -> Value:
        value: Value = self._values[setting.name]
        return value


def read_settings(protocol: ProtocolLanguage, given: Mapping[str, object]) -> SettingValues:
    """The values of all settings: those of `given`, and defaults for the rest.

    Raises BadSetting for a name that is not known and for a value that cannot be read.
    """
    return SettingValues(read_plain(Record("speak", protocol.settings), given, "speak"))


def read_plain(schema: Schema, given: object, where: str) -> Any:
    """The value of plain data, by the schema that reads node.yaml too.

    Raises BadSetting with the first mistake; its message begins with `where`.
    """
    validation = Validation()
    location = SourceLocation(where, 0, 0)
    read = schema.read(tree_of(given, location), validation)
    if validation.problems:
        raise BadSetting(f"{where}: {validation.problems[0].message}")
    if read is WRONG:
        raise BadSetting(f"{where}: expected {schema.expected}")
    return schema.build(read)


# What describes where something that the server sends ends, or that it sends something first.
FRAMING = ("greeting", "prompt", "until", "counted", "reply_ends")


# What describes how each line ends.
LINE_ENDS = ("line_end", "reply_line_end")


def described_end(speak: Speak, sent: bytes, received: bytes) -> str:
    """Of a request without a whole reply in time: the settings of `speak` that describe what did
    not come, where something came, or where nothing was sent because the node sends first. Empty:
    the node was silent, or `speak` describes nothing.
    """
    given = [f"`{name}`" for name in FRAMING if name in speak.settings]
    return ", ".join(given) if received or not sent else ""


# --- schemas that several protocols use ------------------------------------------------------


class IntChoice(Int):
    """One of a few whole numbers."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__(min(numbers), max(numbers))
        self.numbers = numbers
        self.expected = f"one of {', '.join(map(str, numbers))}"

    def parse(self, node: Any, validation: Validation) -> Any:
        known = node.text in map(str, self.numbers)
        return int(node.text) if known else validation.report_expected(node, self.expected)

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"enum": [*self.numbers, *map(str, self.numbers)]}


class BytesPattern(Pattern):
    """A regular expression that is searched in bytes."""

    def __init__(self, *, named: str = "") -> None:
        super().__init__()
        self.named = named

    def parse(self, node: Any, validation: Validation) -> Any:
        text = super().parse(node, validation)
        if text is not WRONG and self.named and self.named not in re.compile(text).groupindex:
            validation.report(node, f"expected a group `(?P<{self.named}>…)` around the number")
            return WRONG
        return text

    def build(self, value: Any) -> re.Pattern[bytes]:
        return re.compile(value.encode("utf-8", "surrogateescape"))


class HandshakeRequest(Struct, frozen=True):
    """One request of a handshake, not yet compiled, and the pattern for its reply."""

    send: Any
    expect: str


BYTE_ORDERS = Choice({"big": "network order", "little": ""})


def handshake_of(request: Schema) -> ProtocolSetting[tuple[HandshakeRequest, ...]]:
    """The setting `handshake` of a protocol whose requests are of this schema."""
    step = Record(
        "handshake step",
        {
            "send": Field(request, "the request", required=True),
            "expect": Field(Pattern(), "searched in its reply", default=""),
        },
        result=HandshakeRequest,
    )
    return ProtocolSetting(
        "handshake",
        "requests to send on a new connection: a list of {send, expect: PATTERN}",
        ListOf(step),
        (),
        "none",
    )
