"""The words in bytes that were lost: by them a check finds the writes that stood there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What a client wrote is found by its key or value: printable, without blanks, not too short.
WORD = re.compile(rb"[!-~]{4,200}")


def texts_of(data: bytes) -> Iterator[str]:
    """The words in some bytes, each once."""
    yield from dict.fromkeys(match.group().decode("ascii") for match in WORD.finditer(data))
