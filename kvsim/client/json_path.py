"""Find one value in a JSON document by a path: `$.kvs[0].value`, `$.a.0.b`, `$["odd name"]`.

A subset of JSONPath (RFC 9535): names and numbers only. No wildcards, no filters, no slices.
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\["([^"]*)"\]|\['([^']*)'\]""")


def parse_path(path: str) -> tuple[str, ...]:
    """The steps of a path. Raises ValueError with an example of a path."""
    if not path.startswith("$"):
        raise ValueError("expected a JSON path such as $.kvs[0].value")
    steps: list[str] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            problem = f"{path[position:]!r} is not a step of a path"
            raise ValueError(f"expected a JSON path such as $.kvs[0].value; {problem}")
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
    """The value as text: a string as it is, anything else as JSON. None: no value, or null."""
    found = find_value(document, steps)
    return found if found is None or isinstance(found, str) else json.dumps(found)


def find_value(document: Any, steps: tuple[str, ...]) -> Any:
    """The value; None: no value, or null."""
    for step in steps:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif (
            isinstance(document, list)
            and step.isascii()
            and step.isdecimal()
            and int(step) < len(document)
        ):
            document = document[int(step)]
        else:
            return None
    return document
