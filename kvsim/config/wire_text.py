r"""Raw bytes as a scenario writes them: text with `\r \n \t \0 \\ \xHH`, everything else UTF-8. Pure."""

from __future__ import annotations

import re

ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
LETTERS = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def to_bytes(text: str) -> bytes:
    """The bytes the text stands for. Raises ValueError, with one line for the author, for an escape that means nothing."""
    out, at = [], 0
    for match in ESCAPE.finditer(text):
        out.append(text[at : match.start()].encode())
        out.append(_escaped(match))
        at = match.end()
    out.append(text[at:].encode())
    return b"".join(out)


def _escaped(match: re.Match[str]) -> bytes:
    if match[1]:
        return bytes.fromhex(match[1])
    if match[2] not in LETTERS:
        raise ValueError(f"unknown escape {match[0]}; known: \\r \\n \\t \\0 \\\\ and \\xHH")
    return LETTERS[match[2]]
