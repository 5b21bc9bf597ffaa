"""Questions to one log file while it grows: does a line match, what were the last lines?

It does not know the process that writes the file. `follower` reads it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from kvsim.logs.file_marks import NO_MARKS, FileMarks
from kvsim.logs.follower import CHUNK_BYTES, HEAD_BYTES, Follower, RawLine, line_ends
from kvsim.patterns import searcher
from kvsim.text import UTF8, encoding_of, printable

# Of a longer line only the beginning is shown.
LINE_BYTES_MAX = 64 * 1024
CUT = f" … [line cut at {LINE_BYTES_MAX} bytes]"
# Of a match in a longer line, so many characters around it.
AROUND = 100
# `last` reads only the end of a file.
END_BYTES = 256 * 1024

Regex = str | re.Pattern[str]


class LogLine(Struct, frozen=True):
    """One line: the offset of its first byte, its number in the file from 1, and readable text."""

    offset: int
    number: int
    text: str


class _PatternSearch(Struct):
    """A pattern that is searched repeatedly while the file grows."""

    follower: Follower
    found: LogLine | None = None


class LogFile(Struct):
    """A log file that may not exist yet. What it held at the moment of `marks` is left out."""

    path: Path
    marks: FileMarks = NO_MARKS
    _searches: dict[Regex, _PatternSearch] = field(default_factory=dict)

    def size(self) -> int:
        """The size of the file now."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def search(self, pattern: Regex) -> LogLine | None:
        """The first line that matches `pattern`, or None so far.

        Reads only what is new since the last call with this pattern. A last line without a line end
        counts when it has not changed for two calls. Raises re.error for a bad pattern.
        """
        new = _PatternSearch(Follower(self.path, self.marks))
        search = self._searches.setdefault(pattern, new)
        if search.found is None:
            search.found = _first(pattern, search.follower.read())
        return search.found or _first(pattern, _as_list(search.follower.unchanged_partial()))

    def lines(self, *, bytes_max: int | None = None) -> Iterator[LogLine]:
        """All lines up to the present end, the last one even without a line end.

        Memory is bounded by a chunk.
        """
        follower, left = Follower(self.path, self.marks), self.size()
        left = left if bytes_max is None else min(left, bytes_max)
        while left > 0:
            before = follower.offset
            found = follower.read(min(CHUNK_BYTES, left))
            # A file that was truncated meanwhile has no more.
            read = follower.offset - before
            left = left - read if read > 0 else 0
            if not left:
                found += _as_list(follower.partial())
            yield from (shown(line) for line in found if line.begins)

    def line_at(self, offset: int) -> LogLine | None:
        """The line that begins at an offset; None: there is none."""
        follower = Follower(self.path, offset=offset)
        lines = follower.read() + _as_list(follower.partial())
        return shown(lines[0]) if lines and lines[0].offset == offset else None

    def last(self, count: int) -> list[str]:
        """The last `count` lines, as far as they are in the last END_BYTES."""
        data, encoding, is_cut = self._end()
        spans = line_ends(data, encoding)
        begins = [0, *(after for _, after in spans)]
        ends = [*(end for end, _ in spans), len(data)]
        lines = [data[begin:end] for begin, end in zip(begins, ends, strict=True)]
        if lines and not lines[-1]:
            lines.pop()
        # The first one may be the end of a longer line.
        complete = lines[1:] if is_cut and len(lines) > 1 else lines
        return [_text(_utf8(line, encoding)) for line in complete[-count:]] if count > 0 else []

    def _end(self) -> tuple[bytes, str, bool]:
        """The last bytes, their encoding, and whether there are more before them."""
        with contextlib.suppress(OSError):
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                found = os.fstat(handle)
                if stat.S_ISREG(found.st_mode):
                    begin = self.marks.begin(handle, found)
                    start = max(begin, found.st_size - END_BYTES)
                    encoding = encoding_of(os.pread(handle, HEAD_BYTES, 0))
                    start += start % 2 if encoding != UTF8 else 0
                    return os.pread(handle, END_BYTES, start), encoding, start > begin
            finally:
                os.close(handle)
        return b"", UTF8, False


def _first(pattern: Regex, lines: list[RawLine]) -> LogLine | None:
    search = pattern.search if isinstance(pattern, re.Pattern) else searcher(pattern)
    for line in lines:
        text = printable(line.data)
        found = search(text)
        if found is None:
            continue
        if len(line.data) <= LINE_BYTES_MAX:
            return shown(line)
        around = text[max(0, found.start() - AROUND) : found.end() + AROUND]
        return LogLine(line.offset, line.number, around)
    return None


def shown(line: RawLine) -> LogLine:
    """A line as text that can be shown. Of a long one, only the beginning."""
    return LogLine(line.offset, line.number, _text(line.data))


def _text(data: bytes) -> str:
    return printable(data[:LINE_BYTES_MAX]) + (CUT if len(data) > LINE_BYTES_MAX else "")


def _utf8(data: bytes, encoding: str) -> bytes:
    return data if encoding == UTF8 else data.decode(encoding, "replace").encode("utf-8", "replace")


def _as_list(line: RawLine | None) -> list[RawLine]:
    return [] if line is None else [line]
