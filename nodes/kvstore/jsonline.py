"""A dictionary of plain values as one line of JSON. Written by hand: `json` would cost a node 7 ms at its first STATUS."""

from _json import encode_basestring_ascii as quoted

WORDS = {None: "null", True: "true", False: "false"}


def encode(value):
    """Return JSON text for None, bool, int, float, str, and lists and dictionaries (keys: str) of these."""
    if value is None or value is True or value is False:
        return WORDS[value]
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{quoted(key)}:{encode(item)}" for key, item in value.items()]) + "}"
    return "[" + ",".join([encode(item) for item in value]) + "]"
