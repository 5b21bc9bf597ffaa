"""JSON values in a text, one after another with their lines: JSON lines, or one array of values.

Lines are read one by one, so that a history of any size needs the memory of one operation. An array
is read whole.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from json.scanner import make_scanner
from typing import Any

from kvsim.history.pairing import FormatError

SPACE = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()
# (text, position) → the value that begins there, and its end.
SCAN = make_scanner(DECODER)  # type: ignore[arg-type]


def json_values(lines: Iterable[str], file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line on which it begins, object) of every object. Raises FormatError."""
    numbered = enumerate(lines, 1)
    for number, line in numbered:
        # A whole line that is one object, which nearly all are, takes half the time.
        try:
            value, end = SCAN(line, 0)
        except (StopIteration, ValueError, RecursionError):
            value, end = None, 0
        if type(value) is dict and line[end:] == "\n":
            yield number, value
            continue
        text = line.strip()
        if not text:
            continue
        if text[0] == "[":
            rest = (line for _, line in numbered)
            yield from _array("".join(itertools.chain([line], rest)), number, file)
            return
        yield number, _object(_load(text, number, file), number, file)


def _load(text: str, line: int, file: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(file, line, f"not JSON: {error}") from error


def _array(text: str, line: int, file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of an array that begins on a line."""
    position = _skip(text, 0) + 1
    line += text.count("\n", 0, position)
    separator = ""
    while True:
        begin = _skip(text, position)
        line += text.count("\n", position, begin)
        if text[begin : begin + 1] == "]" and separator != ",":
            if _skip(text, begin + 1) < len(text):
                raise FormatError(file, line, "something stands behind the array")
            return
        try:
            value, position = DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError) as error:
            raise FormatError(file, line, f"not JSON: {error}") from error
        yield line, _object(value, line, file)
        end = _skip(text, position)
        line += text.count("\n", begin, end)
        separator = text[end : end + 1]
        if separator not in (",", "]"):
            raise FormatError(file, line, "not JSON: a comma or the end of the array is missing")
        position = end + (separator == ",")


def _skip(text: str, position: int) -> int:
    match = SPACE.match(text, position)
    return match.end() if match else position


def _object(value: Any, line: int, file: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        what = f"an object is expected, not {json.dumps(value)[:40]}"
        raise FormatError(file, line, what)
    return value


def normal_number(value: Any) -> Any:
    """A value of JSON in which 1.0 is 1, as JSON does not tell them apart."""
    if value is None or type(value) is str or type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [normal_number(item) for item in value]
    if isinstance(value, dict):
        return {key: normal_number(item) for key, item in value.items()}
    return value
