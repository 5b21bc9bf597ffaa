"""Bytes of a log made text that any terminal, regular expression and report can take. Pure."""

from __future__ import annotations

import re

ANSI = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, links
    rb"|\x1b[ -/]*[0-~]"  # two-byte escapes
)
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def printable(raw: bytes) -> str:
    """One line as readable text.

    Its line end and terminal escapes are dropped; other control characters and bytes that are not UTF-8
    become `\x07`.
    """
    raw = raw.rstrip(b"\r\n")
    if raw.isascii() and (text := raw.decode("ascii")).isprintable():
        return text
    text = ANSI.sub(b"", raw).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
