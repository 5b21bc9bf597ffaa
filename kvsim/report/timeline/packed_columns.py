"""Operations of a timeline in columns: typed arrays in base64.

A hundred thousand rows of JSON are slow to open. A column in which every row is the same becomes
one number. Handles numbers and strings, not runs.
"""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any

Columns = dict[str, "array[Any]"]

# `took_us` of an operation that did not return.
NEVER = 0xFFFFFFFF

# Column -> array type. The page uses the same names.
TYPES = {
    "start_s": "d",
    "took_us": "I",
    "lane": "H",
    "client": "I",
    "node": "H",
    "verb": "B",
    "outcome": "B",
    "reason": "B",
    "purpose": "B",
    "step": "H",
    "key": "I",
    "value": "I",
    "sent": "I",
    "received": "I",
    "detail": "I",
}
JS_TYPES = {"d": "Float64Array", "I": "Uint32Array", "H": "Uint16Array", "B": "Uint8Array"}


class Strings:
    """Strings and their numbers; number 0 is the empty string."""

    def __init__(self) -> None:
        self.all: list[str] = [""]
        self._numbers = {"": 0}
        self._empty_value: int | None = None

    def number(self, text: str | None) -> int:
        """The number of a string, new or known; 0 for None."""
        if not text:
            return 0
        found = self._numbers.setdefault(text, len(self.all))
        if found == len(self.all):
            self.all.append(text)
        return found

    def value_number(self, value: str | None) -> int:
        """The number of a value: 0 for None, absent; the empty string has another number."""
        if value != "":
            return self.number(value)
        if self._empty_value is None:
            self._empty_value = len(self.all)
            self.all.append("")
        return self._empty_value


def new_columns() -> Columns:
    """Empty columns, one of each name in TYPES."""
    return {name: array(code) for name, code in TYPES.items()}


def sort_by_time(columns: Columns) -> tuple[Columns, list[int]]:
    """The columns with rows in order of `start_s`, and for each old row its new index."""
    start = columns["start_s"]
    order = sorted(range(len(start)), key=start.__getitem__)
    new_index = [0] * len(order)
    for new, old in enumerate(order):
        new_index[old] = new
    if order == list(range(len(order))):
        return columns, new_index
    return {
        name: array(column.typecode, [column[old] for old in order])
        for name, column in columns.items()
    }, new_index


def pack(columns: Columns) -> dict[str, Any]:
    """What the page decodes: the number of rows, and each column as `{type, base64}` or
    `{type, fill}`."""
    rows = len(columns["start_s"])
    return {"rows": rows, "columns": {name: _pack(column) for name, column in columns.items()}}


def _pack(column: array[Any]) -> dict[str, Any]:
    js_type = JS_TYPES[column.typecode]
    if not column or column.count(column[0]) == len(column):
        return {"type": js_type, "fill": column[0] if column else 0}
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return {"type": js_type, "base64": base64.b64encode(column.tobytes()).decode("ascii")}
