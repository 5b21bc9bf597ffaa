"""Structs as plain values, for JSON."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


def to_dict(struct: Struct) -> dict[str, Any]:
    """The fields by name, and those of every Struct in them."""
    return {name: _plain(getattr(struct, name)) for name in struct.__struct_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return to_dict(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_plain, value))
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value
