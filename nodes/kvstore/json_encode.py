"""Encode a dictionary of plain values as one line of JSON.

Written by hand because `import json` would add 7 ms to a node's first STATUS.
"""

from _json import encode_basestring_ascii as encode_text


def encode(value: object) -> str:
    """Return JSON text for None, bool, int, float, str, and lists and dictionaries of these.

    The keys of a dictionary are strings. Raises TypeError for any other value.
    """
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return encode_text(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{encode_text(k)}:{encode(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([encode(item) for item in value]) + "]"
    raise TypeError(f"cannot encode {type(value).__name__} as JSON")
