"""Operations of a film in columns: typed arrays in base64, because a hundred thousand rows of JSON are slow to open.

Knows numbers and strings; knows nothing of runs. A column in which every row is the same becomes one number.
"""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any

NEVER = 0xFFFFFFFF  # `took_us` of an operation that nobody saw return

TYPES = {  # column → array type; the page knows them by the same names
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

    def number(self, text: str | None) -> int:
        """The number of a string, new or known; 0 for None."""
        if not text:
            return 0
        found = self._numbers.setdefault(text, len(self.all))
        if found == len(self.all):
            self.all.append(text)
        return found


def new_columns() -> dict[str, array]:
    """Empty columns, one of each name in TYPES."""
    return {name: array(code) for name, code in TYPES.items()}


def ordered(columns: dict[str, array]) -> tuple[dict[str, array], list[int]]:
    """The columns with rows in order of `start_s`, and for each old row its new place."""
    start = columns["start_s"]
    order = sorted(range(len(start)), key=start.__getitem__)
    places = [0] * len(order)
    for new, old in enumerate(order):
        places[old] = new
    if order == list(range(len(order))):
        return columns, places
    return {name: array(c.typecode, [c[old] for old in order]) for name, c in columns.items()}, places


def packed(columns: dict[str, array]) -> dict[str, Any]:
    """What the page unpacks: the number of rows, and each column as `{type, base64}` or `{fill}`."""
    rows = len(columns["start_s"])
    return {"rows": rows, "columns": {name: _packed(column) for name, column in columns.items()}}


def _packed(column: array) -> dict[str, Any]:
    if not column or column.count(column[0]) == len(column):
        return {"type": JS_TYPES[column.typecode], "fill": column[0] if column else 0}
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return {"type": JS_TYPES[column.typecode], "base64": base64.b64encode(column.tobytes()).decode("ascii")}
