"""The format numbers in files that kvsim writes, and the error for a file of another format.

A number is raised when this version cannot read what an earlier one wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kvsim


def format_fields(number: int) -> dict[str, Any]:
    """The first fields of a JSON file: its format, and the version that wrote it."""
    return {"format": number, "kvsim": kvsim.__version__}


def other_format(what: str, fields: Mapping[str, Any], readable: int) -> str:
    """One line for a file whose fields state another format than the readable one."""
    stated, version = fields.get("format"), str(fields.get("kvsim", "of no known version"))
    if type(stated) is int:
        written = f"of format {stated}, written by kvsim {version[:40]}"
    else:
        written = "without a format number, written by an earlier version of kvsim"
    return f"{what} {written}; this kvsim reads format {readable}: use that version for it"
