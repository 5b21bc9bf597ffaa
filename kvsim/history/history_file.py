"""Histories on disk: columns in binary with a header of JSON, and an export to JSON lines.

Binary because a million lines of JSON take longer to read than to judge. Layout: eight bytes `KVSIMHST`, a
version (u32), the header's length (u32), the header (UTF-8 JSON: names, counts, everything that is not a
column, and a CRC-32 of the columns), then the columns one after another, little-endian. Damage is an error
that names the file; nothing is guessed.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kvsim.errors import UsageError
from kvsim.history.history import FaultSpan, FinalRead, History, RoleSample
from kvsim.history.operations import COLUMNS, Names, Operations

MAGIC = b"KVSIMHST"
VERSION = 1
PREFIX = struct.Struct("<8sII")


class HistoryFileError(UsageError):
    """A history cannot be read. The message names the file and says what is wrong with it."""

    def __init__(self, file: str, what: str) -> None:
        self.file = file
        super().__init__(f"{file}: {what}")


def save(history: History, path: Path) -> None:
    """Write `history` to `path` in one go: a reader never meets half a file."""
    columns = [_little_endian(getattr(history.operations, name)) for name in COLUMNS]
    header = json.dumps(_header(history, columns), separators=(",", ":")).encode()
    part = path.with_name(path.name + ".part")
    with part.open("wb") as out:
        out.write(PREFIX.pack(MAGIC, VERSION, len(header)))
        out.write(header)
        for column in columns:
            out.write(column)
    part.replace(path)


def load(path: Path) -> History:
    """The history in `path`. Raises HistoryFileError when it is not one, is damaged, or is of a newer
    version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HistoryFileError(str(path), f"cannot be read: {error.strerror}") from error
    return parse(data, str(path))


def parse(data: bytes, name: str) -> History:
    """The history in the bytes of a file called `name`. Raises HistoryFileError."""
    if len(data) < PREFIX.size or data[:8] != MAGIC:
        raise HistoryFileError(name, "is not a kvsim history (it does not begin with KVSIMHST)")
    _, version, size = PREFIX.unpack_from(data)
    if version != VERSION:
        raise HistoryFileError(name, f"is a history of version {version}; this kvsim reads version {VERSION}")
    header = _read_header(data[PREFIX.size : PREFIX.size + size], size, name)
    body = memoryview(data)[PREFIX.size + size :]
    try:
        history = _history(header, _columns(body, header, name), name)
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryFileError(name, f"has a damaged header ({error!r})") from error
    for problem in history.operations.problems():
        raise HistoryFileError(name, f"is damaged: {problem}")
    return history


def json_lines(history: History) -> Iterator[str]:
    """One line of JSON an operation, in the history's order; absent values and unknown nodes are null."""
    for operation in history.operations:
        yield json.dumps(asdict(operation))


def _little_endian(column: array) -> array:
    if sys.byteorder == "little":
        return column
    turned = column[:]
    turned.byteswap()
    return turned


def _checksum(columns: list[array] | list[memoryview]) -> int:
    checksum = 0
    for column in columns:
        checksum = zlib.crc32(column, checksum)
    return checksum


def _header(history: History, columns: list[array]) -> dict[str, Any]:
    operations = history.operations
    return {
        "count": len(operations),
        "crc32": _checksum(columns),
        "columns": list(COLUMNS.items()),
        "nodes": operations.nodes.strings,
        "keys": operations.keys.strings,
        "values": operations.values.strings,
        "samples": [asdict(sample) for sample in history.samples],
        "faults": [asdict(fault) for fault in history.faults],
        "finals": [asdict(final) for final in history.finals],
        "leader_log": history.leader_log,
        "initial": dict(history.initial),
    }


def _read_header(raw: bytes, size: int, name: str) -> dict[str, Any]:
    if len(raw) < size:
        raise HistoryFileError(name, f"is cut short inside its header ({len(raw)} of {size} bytes)")
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise HistoryFileError(name, f"has a damaged header ({error})") from error
    if not isinstance(header, dict) or header.get("columns") != [list(item) for item in COLUMNS.items()]:
        raise HistoryFileError(name, "has a header with other columns than this kvsim writes")
    return header


def _columns(body: memoryview, header: dict[str, Any], name: str) -> dict[str, array]:
    count = header["count"]
    widths = {column: array(code).itemsize * count for column, code in COLUMNS.items()}
    if len(body) != sum(widths.values()):
        raise HistoryFileError(
            name, f"holds {len(body)} bytes of columns, not the {sum(widths.values())} it promises"
        )
    if zlib.crc32(body) != header["crc32"]:
        raise HistoryFileError(name, "is damaged: the checksum of its columns does not match")
    columns: dict[str, array] = {}
    start = 0
    for column, code in COLUMNS.items():
        columns[column] = array(code)
        columns[column].frombytes(body[start : start + widths[column]])
        if sys.byteorder != "little":
            columns[column].byteswap()
        start += widths[column]
    return columns


def _history(header: dict[str, Any], columns: dict[str, array], name: str) -> History:
    names = {table: Names(header[table]) for table in ("nodes", "keys", "values")}
    log = header["leader_log"]
    return History(
        operations=Operations(**columns, **names),
        samples=tuple(RoleSample(**sample) for sample in header["samples"]),
        faults=tuple(FaultSpan(**{**fault, "nodes": tuple(fault["nodes"])}) for fault in header["faults"]),
        finals=tuple(FinalRead(**final) for final in header["finals"]),
        leader_log=None if log is None else tuple((key, value) for key, value in log),
        initial=header["initial"],
        origin=name,
    )
