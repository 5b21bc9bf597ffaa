"""What files were at one moment, so that what is written later can be told from what they held.

A program may append to a log, truncate it, write it again to the same length, rename it or put
another file in its place.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

# So much of a file's end is compared.
TAIL_BYTES = 4096
FILES_MAX = 5000

# Device and inode.
FileId = tuple[int, int]


class FileMark(Struct, frozen=True):
    """A file's size at a moment, and its bytes before that."""

    size: int
    tail: bytes

    @classmethod
    def of(cls, handle: int, size: int) -> FileMark:
        """The mark of an open file at an offset."""
        length = min(size, TAIL_BYTES)
        return cls(size, os.pread(handle, length, size - length))

    def continues(self, handle: int, size: int) -> bool:
        """Whether the open file, which has `size` bytes, still begins as it was."""
        return size >= self.size and FileMark.of(handle, self.size) == self

    def extended(self, data: bytes) -> FileMark:
        """The mark after the bytes that follow."""
        return FileMark(self.size + len(data), (self.tail + data[-TAIL_BYTES:])[-TAIL_BYTES:])


def file_id(found: os.stat_result) -> FileId:
    return found.st_dev, found.st_ino


class FileMarks(Struct, frozen=True):
    """The marks of files at one moment. A file that was renamed later keeps its mark."""

    marks: Mapping[FileId, FileMark] = field(default_factory=dict)
    changes: ChangeWatch | None = None

    def begin(self, handle: int, found: os.stat_result) -> int:
        """The offset in the open file at which begins what was written after that moment."""
        mark = self.marks.get(file_id(found))
        if mark is None or not mark.continues(handle, found.st_size):
            return 0
        return 0 if self.is_written_again(handle, found, mark.size) else mark.size

    def is_written_again(self, handle: int, found: os.stat_result, offset: int) -> bool:
        """Whether the open file has the length that it had then, `offset`, and was written since:
        an append would have made it longer.
        """
        mark = self.marks.get(file_id(found))
        if mark is None or self.changes is None or not mark.size == found.st_size == offset:
            return False
        # What was written just now has made the file longer by now.
        return self.changes.seen(file_id(found)) and os.fstat(handle).st_size == mark.size


NO_MARKS = FileMarks()


def mark_files(folder: Path) -> FileMarks:
    """The marks of all files in a folder and the folders in it, up to FILES_MAX."""
    changes = ChangeWatch()
    marks: dict[FileId, FileMark] = {}
    for path in _files(folder):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                found = os.fstat(handle)
                if stat.S_ISREG(found.st_mode) and found.st_size:
                    changes.add(path, file_id(found))
                    marks[file_id(found)] = FileMark.of(handle, found.st_size)
            finally:
                os.close(handle)
        if len(marks) >= FILES_MAX:
            break
    return FileMarks(marks, changes)


def _files(folder: Path) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)  # noqa: PTH118


# --- inotify(7) ------------------------------------------------------------------------------

IN_MODIFY, IN_DELETE_SELF, IN_ONESHOT = 0x2, 0x400, 0x80000000
EVENT = struct.Struct("iIII")
EVENTS_BYTES = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


class ChangeWatch:
    """Which files were written, truncated or removed since they were added.

    The kernel tells it from a file that was only touched. Where it has no more watches to give, no
    change is seen.
    """

    def __init__(self) -> None:
        self._files: dict[int, FileId] = {}
        self._changed: set[FileId] = set()
        self._handle = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle >= 0:
            weakref.finalize(self, os.close, self._handle)

    def add(self, path: str, file: FileId) -> None:
        mask = ctypes.c_uint32(IN_MODIFY | IN_DELETE_SELF | IN_ONESHOT)
        watch = _libc.inotify_add_watch(self._handle, os.fsencode(path), mask)
        if watch >= 0:
            self._files[watch] = file

    def seen(self, file: FileId) -> bool:
        """Whether a file has changed."""
        while data := self._read():
            position = 0
            while position < len(data):
                watch, mask, _, length = EVENT.unpack_from(data, position)
                position += EVENT.size + length
                if mask & (IN_MODIFY | IN_DELETE_SELF) and watch in self._files:
                    self._changed.add(self._files[watch])
        return file in self._changed

    def _read(self) -> bytes:
        try:
            return os.read(self._handle, EVENTS_BYTES) if self._handle >= 0 else b""
        except OSError:
            return b""
