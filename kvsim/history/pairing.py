"""What the readers of other tools' histories share: an error with a line, and the pairing of
events.

Those tools write the invocation and the completion of an operation on different lines. Keys and
values are encoded by `typed_values` while a file is read, and readable afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from msgspec import Struct, field

from kvsim.errors import UsageError
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    DELETE,
    KINDS,
    NEVER,
    OK,
    OUTCOMES,
    PUT,
    SHOWS_VALUE,
    WRITES_VALUE,
    Operations,
    StringTable,
    positions,
)
from kvsim.history.typed_values import all_strings, encode, readable

SHOWS_VALUE_NAMES = frozenset(KINDS[kind] for kind in SHOWS_VALUE)


class FormatError(UsageError):
    """A line of a history that cannot be read. The message has file, line and what is wrong."""

    def __init__(self, file: str, line: int, what: str) -> None:
        self.file, self.line = file, line
        super().__init__(f"{file}:{line}: {what}")


class HistoryEvent(NamedTuple):
    """One line of a history: a process invokes or completes an operation.

    `line` counts from 1. `kind` is one of kvsim's KINDS. `key` and `value` are as the tool wrote
    them; `key` None: the line has none. `time_ns` may be a line number.
    """

    line: int
    process: int
    kind: str
    key: object
    value: object
    time_ns: int


class Pairing(Struct):
    """Operations built from invocations and completions. A process has one operation at a time.

    `open` maps a process to the row of its operation, `numbers` a process to its number.
    """

    file: str
    operations: Operations = field(default_factory=Operations)
    open: dict[int, int] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    append_line: int = 0

    def begin(self, event: HistoryEvent, value: object, expected: object) -> None:
        """An invocation. Raises FormatError when the process's last operation has not completed."""
        if event.process in self.open:
            self._fail(event, "begins an operation before its last one has ended")
        if event.kind == "append":
            self.append_line = self.append_line or event.line
        number = self.numbers.setdefault(event.process, len(self.numbers))
        try:
            self.open[event.process] = self.operations.add(
                event.time_ns,
                None,
                number,
                encode(event.key) or "",
                event.kind,
                encode(value),
                expected=encode(expected),
                outcome="unknown",
            )
        except ValueError as error:
            raise FormatError(self.file, event.line, str(error)) from error

    def end(self, event: HistoryEvent, outcome: str, value: object) -> int:
        """A completion; returns the row of the operation. `value` is what a get read.

        An event without a key is about the key of the invocation. Raises FormatError when no such
        operation has begun.
        """
        row = self.open.pop(event.process, None)
        if row is None:
            self._fail(event, "ends an operation that it did not begin")
        operations = self.operations
        begun_key, begun_kind = operations.keys[operations.key[row]], KINDS[operations.kind[row]]
        key = begun_key if event.key is None else encode(event.key)
        if (begun_key, begun_kind) != (key, event.kind):
            shown_begun, shown_key = readable([begun_key]), readable([key])
            self._fail(
                event,
                f"began {begun_kind} {shown_begun[0]!r} but ends {event.kind} {shown_key[0]!r}",
            )
        if event.time_ns < operations.call_ns[row]:
            self._fail(event, "ends an operation before it began")
        if event.time_ns >= NEVER:
            self._fail(event, f"ends at {event.time_ns}, which is not in the range of 62 bits")
        if event.kind in SHOWS_VALUE_NAMES and outcome == OUTCOMES[OK]:
            operations.value[row] = operations.values.number(encode(value))
        operations.outcome[row] = OUTCOMES.index(outcome)
        operations.return_ns[row] = event.time_ns
        return row

    def finished(self) -> Operations:
        """All operations. Those that did not complete are unknown and have no return time.

        Raises FormatError where appends join values that are not strings.
        """
        for row in self.open.values():
            self.operations.return_ns[row] = NEVER
        make_readable(self.operations, self.file, self.append_line)
        return self.operations

    def _fail(self, event: HistoryEvent, what: str) -> NoReturn:
        raise FormatError(self.file, event.line, f"process {event.process} {what}")


def resolve_empty(operations: Operations) -> frozenset[int]:
    """For models that show a key that is not there as the empty string; before `make_readable`.

    What is read as the empty string is absent, except of keys to which it was written. Those begin
    with the empty string, and a delete writes it: such a model cannot tell. Returns these keys.
    """
    empty = operations.values.numbers.get(encode(""))
    if empty is None:
        return frozenset()
    key, kind, value = operations.key, operations.kind, operations.value
    rows = [row for row, number in enumerate(value) if number == empty]
    written = frozenset(key[row] for row in rows if kind[row] in WRITES_VALUE)
    for row in rows:
        if key[row] not in written:
            value[row] = ABSENT
    for row in positions(kind, {DELETE}) if written else ():
        if key[row] in written:
            kind[row], value[row] = PUT, empty
    return written


def empty_values(operations: Operations, keys: Iterable[int]) -> dict[str, str]:
    """Keys and the empty string: where the keys that `resolve_empty` returned begin."""
    return {operations.keys[key]: "" for key in keys}


def make_readable(operations: Operations, file: str, append_line: int = 1) -> None:
    """Replace the encoded keys and values by what is shown of them.

    Raises FormatError, with the line of the first append, where appends join values that are not
    strings.
    """
    keys, values = operations.keys.strings, operations.values.strings
    if APPEND in operations.kind and not all_strings(values):
        what = "an append joins strings, but not all values of this history are strings"
        raise FormatError(file, append_line, what)
    operations.keys = StringTable([text or "" for text in readable(keys)])
    operations.values = StringTable(readable(values))
