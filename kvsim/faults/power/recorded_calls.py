"""The record of one node: binary entries that the preloaded library writes, as values.

kvsim's side of `struct entry` in preload/library/record.c. Each process has files of its own, and
`begin` and `end` are numbers of one sequence for all of them. Pure, except that it reads the files.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from msgspec import Struct, field

HEADER = struct.Struct("=IHHQQQqqqqqII")


class Kind(IntEnum):
    """What a call did. `UNSEEN`: a write whose bytes come in an entry of their own, at its end."""

    NOTHING = 1
    WRITTEN = 2
    UNSEEN = 3
    SYNCED = 4
    DATA_SYNCED = 5
    ALL_SYNCED = 6
    RESIZED = 7
    ALLOCATED = 8
    CREATED = 9
    FOLDER_MADE = 10
    LINKED = 11
    RENAMED = 12
    REMOVED = 13
    MAPPED = 14
    NOT_FOLLOWED = 15


# Bits of `flags` of a write. FROM_MAP: it is what a map holds, not only what was stored since.
SYNCS_ITSELF = 1
FROM_MAP = 4


class RecordedCall(Struct, frozen=True):
    """One call. `end` 0: the process was killed in it, so that it may have happened or not.

    `file`: the inode. `at` and `length`: the bytes of a write, `length` the size of a truncation.
    `result`: what the call returned. `began_ns`, `time_ns`: when it began and ended, on the
    monotonic clock. `data`: the bytes written. `paths`: whole paths of names, one or two.
    """

    kind: Kind
    begin: int
    end: int
    file: int = 0
    at: int = 0
    length: int = 0
    result: int = 0
    began_ns: int = 0
    time_ns: int = 0
    flags: int = 0
    data: bytes = b""
    paths: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.end == 0

    @property
    def succeeded(self) -> bool:
        return not self.is_open and self.result >= 0


NAMING = frozenset(
    {Kind.CREATED, Kind.FOLDER_MADE, Kind.LINKED, Kind.RENAMED, Kind.REMOVED, Kind.NOT_FOLLOWED}
)


def read_entries(content: bytes, start: int = 0) -> tuple[list[RecordedCall], int]:
    """The entries of one file from an offset on, and the offset behind them."""
    found, at = [], start
    while at + HEADER.size <= len(content):
        (
            size,
            kind,
            flags,
            begin,
            end,
            file,
            where,
            length,
            result,
            began_ns,
            time_ns,
            _,
            payload,
        ) = HEADER.unpack_from(content, at)
        if size == 0:
            break
        body = content[at + HEADER.size : at + HEADER.size + payload]
        at += size
        # 0: the process was killed before the call that it was about to record.
        if kind in (0, Kind.NOTHING):
            continue
        named = Kind(kind) in NAMING
        paths = tuple(map(os.fsdecode, body.split(b"\0")[:-1])) if named else ()
        data = b"" if named else body
        found.append(
            RecordedCall(
                Kind(kind),
                begin,
                end,
                file,
                where,
                length,
                result,
                began_ns,
                time_ns,
                flags,
                data,
                paths,
            )
        )
    return found, at


class RecordFiles(Struct):
    """The files of one node's processes. `read` continues where the last call ended.

    The node must be down: an entry is read once.
    """

    folder: Path
    _offsets: dict[str, int] = field(default_factory=dict)

    def read(self) -> list[RecordedCall]:
        """What was recorded since, in the order in which calls ended; open ones are last."""
        found = list(self._new())
        return sorted(found, key=lambda entry: (entry.is_open, entry.end, entry.begin))

    def _new(self) -> Iterator[RecordedCall]:
        for path in sorted(self.folder.iterdir()):
            entries, end = read_entries(path.read_bytes(), self._offsets.get(path.name, 0))
            self._offsets[path.name] = end
            yield from entries
