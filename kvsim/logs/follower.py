"""Reads whole lines of a file while other processes write it: the one follower of files.

It reads each byte once, in bounded memory. It goes on when the file is truncated to any length,
replaced or renamed. A line ends with a line feed or with a carriage return, as a progress bar does.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, field

from kvsim.logs.file_marks import NO_MARKS, FileId, FileMark, FileMarks, file_id
from kvsim.text import UTF8, UTF16_BIG, encoding_of

CHUNK_BYTES = 256 * 1024
# At most this much is read by one call.
READ_BYTES_MAX = 2 * 1024 * 1024
# A longer line is given in pieces, so that all of it can be searched. A piece repeats the end of
# the one before it: what is searched may lie on the border.
PIECE_BYTES = 1024 * 1024
OVERLAP_BYTES = 4096
# The encoding is guessed from the beginning of the file.
HEAD_BYTES = 256


class RawLine(NamedTuple):
    """A line, or a piece of a long one: the offset of its first byte in the file, and UTF-8.

    `number` counts line feeds, as editors and grep do. `begins`: the line begins with it.
    """

    offset: int
    data: bytes
    number: int
    begins: bool = True


LINE_END = re.compile(rb"\r*\n|\r+")
# The same for one character a unit.
WIDE_END = re.compile(r"\r*\n|\r+")


def line_ends(data: bytes, encoding: str) -> list[tuple[int, int]]:
    """(begin, end) of each run of bytes that ends a line. Two returns in a row are one end."""
    if encoding == UTF8:
        return [found.span() for found in LINE_END.finditer(data)]
    spans = [found.span() for found in WIDE_END.finditer(_units(data, encoding))]
    return [(2 * begin, 2 * end) for begin, end in spans]


def _units(data: bytes, encoding: str) -> str:
    """One character for each two bytes; only the line ends among them matter."""
    pairs = (data[0::2], data[1::2]) if encoding == UTF16_BIG else (data[1::2], data[0::2])
    return "".join(
        chr(low) if high == 0 and low in (10, 13) else "x"
        for high, low in zip(*pairs, strict=False)
    )


def feeds_in(data: bytes, encoding: str) -> int:
    """How many line feeds these bytes hold."""
    if encoding == UTF8:
        return data.count(b"\n")
    return _units(data, encoding).count("\n")


class Follower(Struct):
    """A position in a file, from which whole lines are read. A missing file counts as empty.

    `offset` is where the next read begins. With `marks`, what the file held at that moment is left
    out. With `keeps_open`, a file that is removed or replaced is read to its end first; `close` it
    then.
    """

    path: Path
    marks: FileMarks = NO_MARKS
    keeps_open: bool = False
    offset: int = 0
    _file: FileId | None = None
    _handle: int = -1
    # Size and time of the last write when it was read last.
    _looked: tuple[int, int] | None = None
    # What was read, as far as it is compared.
    _read_before: FileMark = field(default=FileMark(0, b""))
    # It has the length that the mark has, and was written again.
    _written_again: bool = False
    _encoding: str = UTF8
    # The last line, while its end is missing: where it begins, its number, its bytes as they are in
    # the file, whether the line begins with them, and what it was at the last question.
    _pending: bytearray = field(default_factory=bytearray)
    _pending_at: int = 0
    _number: int = 1
    _begins: bool = True
    _asked: tuple[int, int] | None = None
    # The last byte was a return: what follows may belong to the same line end.
    _after_return: bool = False

    def read(self, bytes_max: int = READ_BYTES_MAX) -> list[RawLine]:
        """The lines completed since the last call, from at most `bytes_max` new bytes.

        Never blocks.
        """
        lines: list[RawLine] = []
        if self._handle >= 0:
            self._read_from(self._handle, bytes_max, lines)
            if lines or self._is_at_path():
                return lines
            lines += self._rest()
            self.close()
        handle = self._open()
        if handle is None:
            return lines
        try:
            self._read_from(handle, bytes_max, lines)
        finally:
            if self.keeps_open:
                self._handle = handle
            else:
                os.close(handle)
        return lines

    def close(self) -> None:
        """Safe to repeat."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def partial(self) -> RawLine | None:
        """The last line while its end is missing; None when there is none."""
        return self._line(self._pending) if self._pending else None

    def unchanged_partial(self) -> RawLine | None:
        """As `partial`, but only if it has not grown since the last call.

        It may be complete, such as a prompt.
        """
        before, self._asked = self._asked, (self._pending_at, len(self._pending))
        return self.partial() if before == self._asked else None

    # --- the file -----------------------------------------------------------------------------

    def _open(self) -> int | None:
        """Open the file at the path if there may be something new in it."""
        with contextlib.suppress(OSError, ValueError):
            found = self.path.stat()
            looked = (found.st_size, found.st_mtime_ns)
            unchanged = (self._file, self._looked) == (file_id(found), looked)
            if stat.S_ISREG(found.st_mode) and not (unchanged and found.st_size == self.offset):
                return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return None

    def _is_at_path(self) -> bool:
        try:
            return file_id(self.path.stat()) == self._file
        except OSError:
            return False

    def _rest(self) -> list[RawLine]:
        """The line without end of a file that is not written to any more."""
        rest = self.partial()
        self._pending.clear()
        return [] if rest is None else [rest]

    def _read_from(self, handle: int, bytes_max: int, lines: list[RawLine]) -> None:
        found = os.fstat(handle)
        self._encoding = encoding_of(os.pread(handle, HEAD_BYTES, 0))
        if not self._continues(handle, found):
            # A file that was read already and written again is read whole.
            is_new = self._file != file_id(found)
            self._begin_at(self.marks.begin(handle, found) if is_new else 0, handle)
        elif not self._written_again and self.marks.is_written_again(handle, found, self.offset):
            self._written_again = True
            self._begin_at(0, handle)
        self._file = file_id(found)
        while bytes_max > 0 and (data := self._next(handle, bytes_max)):
            bytes_max -= len(data)
            self._take(data, lines)
            self._read_before = self._read_before.extended(data)
        after = os.fstat(handle)
        self._looked = (after.st_size, after.st_mtime_ns)

    def _next(self, handle: int, bytes_max: int) -> bytes:
        """The next bytes: whole characters, as far as the line ends need it."""
        data = os.pread(handle, min(CHUNK_BYTES, bytes_max), self.offset)
        return data[: len(data) - len(data) % 2] if self._encoding != UTF8 else data

    def _continues(self, handle: int, found: os.stat_result) -> bool:
        """Whether the open file is the one that was read, and holds what was read of it."""
        if self._file is None and self.offset:
            # The caller chose where to begin.
            self._begin_at(self.offset, handle)
            return found.st_size >= self.offset
        return self._file == file_id(found) and self._read_before.continues(handle, found.st_size)

    def _begin_at(self, offset: int, handle: int) -> None:
        self.offset = self._pending_at = offset
        self._pending.clear()
        self._begins, self._after_return = True, False
        self._read_before = FileMark.of(handle, offset)
        self._number = 1 + self._feeds_before(handle, offset)

    def _feeds_before(self, handle: int, offset: int) -> int:
        return sum(
            feeds_in(os.pread(handle, min(CHUNK_BYTES, offset - begin), begin), self._encoding)
            for begin in range(0, offset, CHUNK_BYTES)
        )

    # --- lines --------------------------------------------------------------------------------

    def _take(self, data: bytes, lines: list[RawLine]) -> None:
        """Append the lines that these bytes complete; keep the rest."""
        position, begin = self.offset, 0
        self.offset += len(data)
        for end, after in line_ends(data, self._encoding):
            # Otherwise it is the rest of the line end before.
            if end or not self._after_return:
                self._add(data[begin:end], lines)
                lines.append(self._line(self._pending))
                self._pending.clear()
            feeds = feeds_in(data[end:after], self._encoding)
            begin, self._pending_at = after, position + after
            self._number += feeds
            self._begins = True
            self._after_return = after == len(data) and not feeds
        if begin < len(data):
            self._after_return = False
            self._add(data[begin:], lines)

    def _add(self, piece: bytes, lines: list[RawLine]) -> None:
        """Append to the last line; give away the pieces of a long one."""
        self._pending += piece
        while len(self._pending) > PIECE_BYTES:
            lines.append(self._line(self._pending[:PIECE_BYTES]))
            del self._pending[: PIECE_BYTES - OVERLAP_BYTES]
            self._pending_at += PIECE_BYTES - OVERLAP_BYTES
            self._begins = False

    def _line(self, data: bytearray) -> RawLine:
        text = bytes(data)
        if self._encoding != UTF8:
            text = text.decode(self._encoding, "replace").encode("utf-8", "replace")
        if not self._pending_at:
            text = text.removeprefix(codecs.BOM_UTF8)
        return RawLine(self._pending_at, text, self._number, self._begins)
