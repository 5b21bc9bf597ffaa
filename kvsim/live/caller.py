"""Where in the user's test a call stands, so that proof and film can name the line. Reads frames; nothing else."""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = str(Path(__file__).parent)
CONTEXTLIB = "contextlib.py"


@dataclass(frozen=True)
class Caller:
    """A line of Python."""

    file: str
    line: int
    text: str


def caller(of_file: str) -> Caller:
    """The nearest line of the file `of_file` that led here or, when none did, the nearest line outside this package."""
    nearest = None
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file == of_file:
            return _caller(file, frame.f_lineno)
        if nearest is None and not file.startswith(HERE) and not file.endswith(CONTEXTLIB):
            nearest = _caller(file, frame.f_lineno)
        frame = frame.f_back
    return nearest or Caller(of_file, 0, "")


def _caller(file: str, line: int) -> Caller:
    return Caller(file, line, linecache.getline(file, line).strip())
