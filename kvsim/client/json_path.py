"""Find one value in a JSON document by a small path: `$.kvs[0].value`, `$.a.0.b`, `$["odd name"]`. Pure.

A subset of JSONPath: names and numbers only. No wildcards, no filters, no slices.
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\["([^"]*)"\]|\['([^']*)'\]""")


def parse_path(path: str) -> tuple[str, ...]:
    """The steps of a path. Raises ValueError saying how a path looks."""
    if not path.startswith("$"):
        raise ValueError("wants a JSON path such as $.kvs[0].value")
    steps: list[str] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError(
                f"wants a JSON path such as $.kvs[0].value; {path[position:]!r} is no step of one"
            )
        steps.append(next(group for group in match.groups() if group is not None))
        position = match.end()
    return tuple(steps)


def read_json(data: bytes | str) -> Any:
    """The document, or None when this is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def find(document: Any, steps: tuple[str, ...]) -> str | None:
    """The value there as text: strings as they are, everything else as JSON. None: nothing there, or null."""
    for step in steps:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and step.isascii() and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    if document is None or isinstance(document, str):
        return document
    return json.dumps(document)
