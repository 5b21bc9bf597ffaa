"""kvsim's own export read back: JSON lines as `history_file.json_lines` writes them. Pure."""

from __future__ import annotations

import json

from kvsim.history.foreign import FormatError
from kvsim.history.operations import Operations

FIELDS = ("call_ns", "return_ns", "process", "key", "kind", "value")


def read_export(text: str, file: str = "history.jsonl") -> Operations:
    """The operations in `text`. Raises FormatError naming the line."""
    operations = Operations()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            operations.add(
                *(entry[name] for name in FIELDS),
                expected=entry.get("expected"),
                outcome=entry.get("outcome", "ok"),
                node=entry.get("node"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(file, number, f"not an operation of a kvsim export: {error}") from error
    return operations
