"""One log file, watched while it grows: is this line there yet, what were the last lines? Never reads a byte
twice for one question. Knows nothing of who writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.logs.cursor import CHUNK, LINE_MAX, Cursor, RawLine
from kvsim.logs.text import printable
from kvsim.waiting import Deadline

CUT = f" … [line cut at {LINE_MAX} bytes]"
LAST_MAX = 256 * 1024  # how much of the end of a file `last` looks at


@dataclass(frozen=True)
class LogLine:
    """One line: the offset of its first byte, its number in the file from 1, and readable text."""

    offset: int
    number: int
    text: str


@dataclass
class _Search:
    """One question that is asked again and again while the file grows."""

    cursor: Cursor
    found: LogLine | None = None


@dataclass
class LogFile:
    """A log file that may not exist yet. Marks are byte offsets."""

    path: Path
    _searches: dict[tuple[str | re.Pattern[str], int], _Search] = field(default_factory=dict)

    def mark(self) -> int:
        """The end of the file now: what is written later stands at or after it."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def search(self, pattern: str | re.Pattern[str], mark: int = 0) -> LogLine | None:
        """The first line from `mark` on in which `pattern` is found, or None so far. Reads only what is new.

        A last line without a line end counts once it has stood unchanged for two calls. Raises re.error for
        a bad pattern.
        """
        search = self._searches.setdefault((pattern, mark), _Search(Cursor(self.path, mark)))
        if search.found is None:
            search.found = self._first(pattern, search.cursor.read())
        return search.found or self._first(pattern, _listed(search.cursor.steady_partial()))

    def final_search(
        self, pattern: str | re.Pattern[str], mark: int = 0, *, deadline: Deadline
    ) -> LogLine | None:
        """As `search`, for a log whose writers have ended: reads to its very end, or until the deadline."""
        search = self._searches.setdefault((pattern, mark), _Search(Cursor(self.path, mark)))
        while search.found is None:
            before = search.cursor.offset
            search.found = self._first(pattern, search.cursor.read())
            if search.cursor.offset == before or deadline.passed():
                break
        return search.found or self._first(pattern, _listed(search.cursor.partial()))

    def lines(self, mark: int = 0, *, limit_bytes: int | None = None) -> Iterator[LogLine]:
        """All lines from `mark` to the present end, the last one even without a line end.

        Memory is bounded by a chunk.
        """
        end = self.mark()
        end = end if limit_bytes is None else min(end, mark + limit_bytes)
        cursor, number = Cursor(self.path, mark), self._number(mark)
        while (before := cursor.offset) < end:
            found = cursor.read(min(CHUNK, end - before))
            if cursor.offset >= end:
                found += _listed(cursor.partial())
            elif cursor.offset <= before:
                return  # truncated meanwhile
            for offset, raw in found:
                yield LogLine(offset, number, _text(raw))
                number += 1

    def last(self, count: int) -> list[str]:
        """The last `count` lines, as far as they stand in the last 256 KiB."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                start = file.seek(max(0, size - LAST_MAX))
                data = file.read(LAST_MAX)
        except OSError:
            return []
        lines = data.removesuffix(b"\n").split(b"\n") if data else []
        whole = (
            lines[1:] if start and len(lines) > 1 else lines
        )  # the first one may be the end of a longer line
        return [_text(line) for line in whole[-count:]] if count > 0 else []

    def _first(self, pattern: str | re.Pattern[str], lines: list[RawLine]) -> LogLine | None:
        looks = re.compile(pattern).search
        for offset, raw in lines:
            text = _text(raw)
            if looks(text):
                return LogLine(offset, self._number(offset), text)
        return None

    def _number(self, offset: int) -> int:
        """The number of the line that begins at `offset`; counted only when somebody wants to know."""
        number, left = 1, offset
        try:
            with self.path.open("rb") as file:
                while left > 0 and (data := file.read(min(CHUNK, left))):
                    number += data.count(b"\n")
                    left -= len(data)
        except OSError:
            return number
        return number


def _text(raw: bytes) -> str:
    return printable(raw[:LINE_MAX]) + (CUT if len(raw) >= LINE_MAX else "")


def _listed(line: RawLine | None) -> list[RawLine]:
    return [] if line is None else [line]
