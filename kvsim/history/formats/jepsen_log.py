"""Jepsen's lines of text about one register or independent ones: its logs and `history.txt`.

    INFO  jepsen.util - 0  :invoke  :write  2
    INFO [2026-01-01 12:00:00,123] jepsen worker 0 - jepsen.util 0  :invoke  :write  2
    2026-01-01 12:00:00,123{GMT}  INFO  [jepsen worker 0] jepsen.util: 0  :invoke  :write  2
    0  :invoke  :write  2

Lines of other kinds are left out; one that is like an operation in another form is an error. The
error of an operation may stand behind its value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kvsim.history import edn
from kvsim.history.history import History
from kvsim.history.jepsen_events import INVOKE, JepsenEvent, JepsenEvents
from kvsim.history.pairing import FormatError

LINE = re.compile(
    r"(?:.*\bjepsen\.[\w.]+:?(?:\s+-)?\s+)?(-?[0-9]+|:[^\s]+)\s+"
    r"(:invoke|:ok|:fail|:info)\s+(:[^\s]+)(?:[ \t]+(.*?))?\s*$"
)
# What is like an operation, on a line that is none in a form that is known.
LIKE_OPERATION = re.compile(r"[0-9]\s+(?::invoke|:ok|:fail|:info)\s+:[a-z]")
# Most values: read without the parser.
INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
LOG = re.compile(r"[^\n]*\bINFO\b[^\n]*\bjepsen\b")


def matches(head: str) -> bool:
    """Whether text that begins like this is such a log. Its operations may come much later."""
    return any(map(LINE.match, head.split("\n"))) or bool(LOG.match(head))


def read(lines: Iterable[str], file: str = "jepsen.log") -> History:
    """The operations in the lines. Raises FormatError, also when no line is one.

    A read that failed was not answered. A cas that failed without an error found another value
    than it expected; with an error, it did not happen.
    """
    events = JepsenEvents(file, fails_are_mismatches=True)
    number = found = 0
    for number, line in enumerate(lines, 1):
        match = LINE.match(line) if ":" in line else None
        if match is None:
            if ":" in line and LIKE_OPERATION.search(line):
                what = "like an operation, behind something that is not known"
                raise FormatError(file, number, what)
            continue
        found += 1
        process, type_, f, rest = match.groups()
        if process.startswith(":"):
            continue
        value, has_error = _value(rest or "", type_, number, file)
        if len(process) > 18:
            raise FormatError(file, number, f"the process {process} is not in the range of 62 bits")
        if rest is None and (type_ == ":ok" or line[-1:] != "\n"):
            what = f"it ends before the value of {f}; a value that is not there is nil"
            raise FormatError(file, number, what)
        events.add(JepsenEvent(number, int(process), type_, f, value, has_error=has_error))
    if not found:
        what = f"none of its {number} lines is an operation: process, type, function and value"
        raise FormatError(file, 1, what)
    return events.finished()


def _value(text: str, type_: str, line: int, file: str) -> tuple[object, bool]:
    """The value, and whether an error stands behind it."""
    head, _, error = text.partition("\t")
    if INTEGER.fullmatch(head):
        return int(head), bool(error)
    if head == "nil":
        return None, bool(error)
    try:
        values = edn.parse(head)
    except edn.EdnError as problem:
        # What a completion that is not ok says in place of a value may be anything.
        if type_ in (INVOKE, ":ok"):
            raise FormatError(file, line, problem.what) from problem
        return None, True
    return (values[0] if values else None), bool(error) or len(values) > 1
