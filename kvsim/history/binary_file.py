"""Histories on disk: binary columns behind a header of JSON.

The columns are binary because reading a million lines of JSON takes longer than checking them.
Layout: eight bytes `KVSIMHST`, a version (u32), the header's length (u32), the header (UTF-8 JSON:
string tables, the count, everything that is not a column, and a CRC-32 of the columns), then the
columns one after another. Numbers are little-endian. A damaged file is an error that names the
file; nothing is guessed.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zlib
from array import array
from pathlib import Path
from typing import Any, BinaryIO

from kvsim.errors import UsageError
from kvsim.history import growing_file
from kvsim.history.history import FaultSpan, FaultTraits, FinalRead, History, RoleSample
from kvsim.history.journal import decode_json
from kvsim.history.json_types import (
    ANY,
    COUNT,
    INT,
    TEXT,
    JsonList,
    JsonMap,
    JsonObject,
    Maybe,
    problem_text,
)
from kvsim.history.operations import COLUMNS, Operations, StringTable
from kvsim.history.record_schema import TRAITS
from kvsim.run_directory import open_file
from kvsim.structs import to_dict

MAGIC = b"KVSIMHST"
VERSION = 2
READABLE = (1, VERSION)
PREFIX = struct.Struct("<8sII")


TEXTS = JsonList(TEXT)
NAME_OR_NONE = JsonList(Maybe(TEXT))
HEADER = JsonObject(
    {
        "count": COUNT,
        "crc32": COUNT,
        "columns": JsonList(TEXTS),
        "nodes": NAME_OR_NONE,
        "keys": NAME_OR_NONE,
        "values": NAME_OR_NONE,
        "samples": JsonList(
            JsonObject(
                {"at_ns": INT, "node": TEXT, "role": TEXT},
                {
                    "term": Maybe(INT),
                    "index": Maybe(INT),
                    "asked_ns": Maybe(INT),
                    # Of version 1.
                    "epoch": ANY,
                },
                closed=True,
            )
        ),
        "faults": JsonList(
            JsonObject(
                {"kind": TEXT, "nodes": TEXTS, "began_ns": INT, "ended_ns": INT},
                {"traits": TRAITS},
                closed=True,
            )
        ),
        "finals": JsonList(
            JsonObject(
                {"node": TEXT, "key": TEXT, "value": Maybe(TEXT)}, {"at_ns": INT}, closed=True
            )
        ),
        "leader_log": Maybe(JsonList(JsonList(Maybe(TEXT)))),
        "initial": JsonMap(TEXT),
    }
)


class HistoryFileError(UsageError):
    """A history cannot be read. The message names the file and what is wrong with it."""

    def __init__(self, file: str, what: str) -> None:
        self.file = file
        super().__init__(f"{file}: {what}")


def save(history: History, path: Path) -> None:
    """Write `history` to `path`. Atomic: a reader never finds half a file. Raises OSError."""
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
    """The history in `path`.

    Raises UsageError when it cannot be read, and HistoryFileError when it is not a history, is
    damaged, or has a newer version.
    """
    with open_file(path) as source:
        return read(source, str(path))


def parse(data: bytes, name: str) -> History:
    """The history in `data`, the bytes of a file called `name`. Raises HistoryFileError."""
    return read(io.BytesIO(data), name)


def read(source: BinaryIO, name: str) -> History:
    """The history in an open file, a column at a time: it is never in memory as a whole.

    Raises HistoryFileError, OSError.
    """
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    if source.read(len(growing_file.MAGIC)) == growing_file.MAGIC:
        return _read_growing(source, name)
    source.seek(0)
    start = source.read(PREFIX.size)
    if len(start) < PREFIX.size or start[:8] != MAGIC:
        raise HistoryFileError(name, "is not a kvsim history (it does not begin with KVSIMHST)")
    _, version, header_size = PREFIX.unpack(start)
    if version not in READABLE:
        raise HistoryFileError(
            name, f"is a history of version {version}; this kvsim reads up to version {VERSION}"
        )
    header = _read_header(source.read(header_size), header_size, name)
    if version == 1:
        header = _from_version_1(header)
    body_size = size - PREFIX.size - header_size
    try:
        history = _history(header, _columns(source, body_size, header, name), name)
    except (KeyError, TypeError, ValueError, EOFError) as error:
        raise HistoryFileError(name, f"has a damaged header ({error!r})") from error
    for problem in history.operations.problems():
        raise HistoryFileError(name, f"is damaged: {problem}")
    history.operations.normalise()
    return history


def _read_growing(source: BinaryIO, name: str) -> History:
    """What a load that was killed had recorded."""
    try:
        operations = growing_file.read_growing(source)
    except UsageError as error:
        raise HistoryFileError(name, str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryFileError(name, f"has a damaged header ({error!r})") from error
    for problem in operations.problems():
        raise HistoryFileError(name, f"is damaged: {problem}")
    operations.normalise()
    return History(operations, origin=name)


def _little_endian(column: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return column
    swapped = column[:]
    swapped.byteswap()
    return swapped


def _checksum(columns: list[array[int]]) -> int:
    checksum = 0
    for column in columns:
        checksum = zlib.crc32(column, checksum)
    return checksum


def _header(history: History, columns: list[array[int]]) -> dict[str, Any]:
    operations = history.operations
    return {
        "count": len(operations),
        "crc32": _checksum(columns),
        "columns": list(COLUMNS.items()),
        "nodes": operations.nodes.strings,
        "keys": operations.keys.strings,
        "values": operations.values.strings,
        "samples": [to_dict(sample) for sample in history.samples],
        "faults": [to_dict(fault) for fault in history.faults],
        "finals": [to_dict(final) for final in history.finals],
        "leader_log": history.leader_log,
        "initial": dict(history.initial),
    }


def _read_header(raw: bytes, size: int, name: str) -> dict[str, Any]:
    if len(raw) < size:
        raise HistoryFileError(name, f"ends inside its header ({len(raw)} of {size} bytes)")
    try:
        header: dict[str, Any] = decode_json(raw)
    except ValueError as error:
        raise HistoryFileError(name, f"has a damaged header ({error})") from error
    if problem := problem_text(HEADER, header):
        raise HistoryFileError(name, f"has a damaged header ({problem})")
    if header["columns"] != [list(item) for item in COLUMNS.items()]:
        raise HistoryFileError(name, "has a header with other columns than this kvsim writes")
    return header


# The traits of faults, which version 1 did not record.
TRAITS_IN_VERSION_1 = {
    "kill": FaultTraits(ends_nodes="always"),
    "restart": FaultTraits(ends_nodes="always"),
    "crash": FaultTraits(ends_nodes="always", damages_data=True),
    "disk": FaultTraits(ends_nodes="may", may_refuse=True, preloads=True),
    "clock": FaultTraits(preloads=True),
}


def _from_version_1(header: dict[str, Any]) -> dict[str, Any]:
    """Version 1 called a term an epoch, and recorded no traits of faults."""
    samples = [
        {"term" if name == "epoch" else name: value for name, value in sample.items()}
        for sample in header.get("samples", ())
    ]
    faults = [
        {"traits": to_dict(TRAITS_IN_VERSION_1.get(fault["kind"], FaultTraits())), **fault}
        for fault in header.get("faults", ())
    ]
    return {**header, "samples": samples, "faults": faults}


def _columns(
    source: BinaryIO, size: int, header: dict[str, Any], name: str
) -> dict[str, array[int]]:
    count = header["count"]
    announced = sum(array(code).itemsize * count for code in COLUMNS.values())
    if size != announced:
        raise HistoryFileError(
            name, f"holds {size} bytes of columns, but its header announces {announced}"
        )
    columns: dict[str, array[int]] = {}
    for column, code in COLUMNS.items():
        columns[column] = array(code)
        columns[column].frombytes(source.read(array(code).itemsize * count))
    if _checksum([*columns.values()]) != header["crc32"]:
        raise HistoryFileError(name, "is damaged: the checksum of its columns does not match")
    if sys.byteorder != "little":
        for values in columns.values():
            values.byteswap()
    return columns


def _fault_span(fault: dict[str, Any]) -> FaultSpan:
    traits = FaultTraits(**fault["traits"])
    return FaultSpan(**{**fault, "nodes": tuple(fault["nodes"]), "traits": traits})


def _history(header: dict[str, Any], columns: dict[str, array[int]], name: str) -> History:
    log = header["leader_log"]
    return History(
        operations=Operations(
            **columns,
            nodes=StringTable(header["nodes"]),
            keys=StringTable(header["keys"]),
            values=StringTable(header["values"]),
        ),
        samples=tuple(RoleSample(**sample) for sample in header["samples"]),
        faults=tuple(map(_fault_span, header["faults"])),
        finals=tuple(FinalRead(**final) for final in header["finals"]),
        leader_log=None if log is None else tuple((key, value) for key, value in log),
        initial=header["initial"],
        origin=name,
    )
