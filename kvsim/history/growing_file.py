"""The history of a load while it grows: what was recorded so far survives the load's own end.

Layout: eight bytes `KVSIMGRO`, the header's length (u32), the header (UTF-8 JSON: format, nodes and
keys), then blocks. A block has four lengths and a checksum (u32 each, little-endian): the rows that
were completed since the last block, the operations under way at this moment, the values that are
new (JSON), and the CRC-32 of all three. Rows are signed 64-bit numbers in the order of COLUMNS.

A block that is cut short or damaged ends the file. What was under way in the last whole block has
no known outcome; what began after it is not known at all, and no operation before it can have
observed that.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from kvsim.errors import UsageError
from kvsim.file_formats import format_fields, other_format
from kvsim.history.operations import COLUMNS, Operations, StringTable

MAGIC = b"KVSIMGRO"
FORMAT = 1
LENGTH = struct.Struct("<I")
BLOCK = struct.Struct("<IIII")


class GrowingFile:
    """Appends blocks to a new file. Raises OSError."""

    def __init__(self, path: Path, nodes: Sequence[str], keys: Sequence[str]) -> None:
        self.path = path
        fields = {**format_fields(FORMAT), "nodes": list(nodes), "keys": list(keys)}
        header = json.dumps(fields).encode()
        # Without a buffer: each block is one write.
        self._file = path.open("wb", buffering=0)
        self._file.write(MAGIC + LENGTH.pack(len(header)) + header)

    def append(self, rows: array[int], under_way: array[int], values: Sequence[str | None]) -> None:
        parts = (_bytes(rows), _bytes(under_way), json.dumps(values).encode() if values else b"")
        sizes = map(len, parts)
        body = b"".join(parts)
        self._file.write(BLOCK.pack(*sizes, zlib.crc32(body)) + body)

    def close(self) -> None:
        self._file.close()


def read_growing(source: BinaryIO) -> Operations:
    """The operations in a growing file, opened behind its magic.

    Raises ValueError or KeyError for a damaged header, UsageError for one of another format.
    """
    size = source.read(LENGTH.size)
    header = json.loads(source.read(*LENGTH.unpack(size.ljust(LENGTH.size, b"\0"))))
    if header["format"] != FORMAT:
        raise UsageError(other_format("is the history of a load,", header, FORMAT))
    operations = Operations(nodes=StringTable(header["nodes"]), keys=StringTable(header["keys"]))
    values: list[str | None] = [None]
    last = array("q")
    for rows, under_way, new in _blocks(source):
        append_rows(operations, rows)
        values += new
        last = under_way
    append_rows(operations, last)
    operations.values = StringTable(values)
    return operations


def read_rows(source: BinaryIO, operations: Operations) -> None:
    """Add the completed rows of a growing file, and no strings: its writer has them."""
    (size,) = LENGTH.unpack(source.read(len(MAGIC) + LENGTH.size)[len(MAGIC) :])
    source.seek(size, os.SEEK_CUR)
    for rows, _, _ in _blocks(source, values=False):
        append_rows(operations, rows)


def append_rows(operations: Operations, rows: array[int]) -> None:
    """Add rows to the columns."""
    for index, (name, code) in enumerate(COLUMNS.items()):
        getattr(operations, name).extend(array(code, rows[index :: len(COLUMNS)]))


def _blocks(
    source: BinaryIO, *, values: bool = True
) -> Iterator[tuple[array[int], array[int], list[str]]]:
    """The whole blocks: rows, operations under way, new values."""
    while len(head := source.read(BLOCK.size)) == BLOCK.size:
        *sizes, checksum = BLOCK.unpack(head)
        parts = [source.read(size) for size in sizes]
        if zlib.crc32(b"".join(parts)) != checksum:
            return
        rows, under_way, new = parts
        yield _array(rows), _array(under_way), json.loads(new) if new and values else []


def _bytes(rows: array[int]) -> bytes:
    if sys.byteorder == "little":
        return rows.tobytes()
    swapped = rows[:]
    swapped.byteswap()
    return swapped.tobytes()


def _array(data: bytes) -> array[int]:
    rows = array("q", data)
    if sys.byteorder != "little":
        rows.byteswap()
    return rows
