"""Reads on in a growing file: whole lines, each byte once, in bounded memory.

Survives truncation and replacement.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

CHUNK = 256 * 1024
BUDGET = 2 * 1024 * 1024
LINE_MAX = 64 * 1024

RawLine = tuple[int, bytes]  # offset in the file, bytes without the line end


@dataclass
class Cursor:
    """A place in a file. A file that is not there yet is an empty one.

    `restarts` counts how often the file was found truncated or replaced by another of the same name; reading
    then goes on at its beginning. Of a line longer than LINE_MAX the first LINE_MAX bytes are kept.
    """

    path: Path
    offset: int = 0  # where the next read begins
    restarts: int = 0
    _inode: int | None = None
    _pending: bytes = b""  # the line that has no end yet
    _pending_at: int = field(default=-1)
    _steady: bytes = b""  # what was pending at the look before

    def __post_init__(self) -> None:
        self._pending_at = self.offset

    def read(self, budget: int = BUDGET) -> list[RawLine]:
        """The lines completed since the last call, from at most `budget` new bytes. Never blocks."""
        if not self._more():
            return []
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return []
        try:
            return self._read(handle, budget)
        finally:
            os.close(handle)

    def partial(self) -> RawLine | None:
        """The last line while its end is missing; None when there is none."""
        return (self._pending_at, self._pending) if self._pending else None

    def steady_partial(self) -> RawLine | None:
        """As `partial`, but only when it has not grown since this was last asked: it may be whole (a
        prompt).
        """
        before, self._steady = self._steady, self._pending
        return self.partial() if before == self._pending else None

    def _more(self) -> bool:
        """Whether there is anything new; goes back to the start of a truncated or replaced file."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        if found.st_size < self.offset or self._inode not in (None, found.st_ino):
            self.offset, self._pending, self._pending_at = 0, b"", 0
            self.restarts += 1
        self._inode = found.st_ino
        return found.st_size > self.offset

    def _read(self, handle: int, budget: int) -> list[RawLine]:
        lines: list[RawLine] = []
        os.lseek(handle, self.offset, os.SEEK_SET)
        while budget > 0 and (data := os.read(handle, min(CHUNK, budget))):
            budget -= len(data)
            self._take(data, lines)
        return lines

    def _take(self, data: bytes, lines: list[RawLine]) -> None:
        at = self.offset
        self.offset += len(data)
        *whole, rest = data.split(b"\n")
        for piece in whole:
            lines.append((self._pending_at, self._joined(piece)))
            at += len(piece) + 1
            self._pending, self._pending_at = b"", at
        self._pending = self._joined(rest)

    def _joined(self, piece: bytes) -> bytes:
        room = LINE_MAX - len(self._pending)
        return self._pending + piece[:room] if self._pending else piece[:LINE_MAX]
