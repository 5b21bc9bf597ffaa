"""The formats of histories that kvsim reads: one module per format, found by its file name.

A new file is a new format: `my_format.py` here is the format `my-format`. It has a function
`read(lines, file)` that returns Operations or a History and raises FormatError; `lines` are the
lines of the file, with their newlines. A binary format has `read_bytes(data, file)` instead. A
function `matches(head)` says whether a file that begins so (64 KiB as text) has this format.
kvsim's own binary format is no module here; it is in `kvsim.history.binary_file`. A file of each
format may be compressed by gzip, whatever its name.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Protocol

from kvsim.errors import UsageError
from kvsim.history import binary_file, growing_file
from kvsim.history.history import History
from kvsim.history.operations import Operations
from kvsim.history.pairing import FormatError

BINARY = "kvsim"
# How much of a file its format is guessed from.
HEAD_BYTES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"
# What Python raises where a compressed file is damaged, or ends too early.
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


class PeekableFile(Protocol):
    """An open binary file of which the beginning can be seen before it is read, also of a pipe."""

    def peek(self, size: int = ..., /) -> bytes: ...

    def read(self, size: int = ..., /) -> bytes: ...

    def __iter__(self) -> Iterator[bytes]: ...


def names() -> list[str]:
    """The names of all formats, the binary one first. Imports none of them."""
    return [BINARY, *sorted(module.name.replace("_", "-") for module in iter_modules(__path__))]


def read(name: str, path: Path) -> History:
    """The history in `path`, which has the format `name`.

    Raises UsageError for a format that does not exist, and for a file that cannot be read as one.
    """
    return _open_and_read(name, path)[1]


def read_guessed(path: Path) -> tuple[str, History]:
    """The format of `path`, guessed from its content, and its history.

    Raises UsageError when it looks like no format, or cannot be read as the one it looks like.
    """
    return _open_and_read(None, path)


def _open_and_read(name: str | None, path: Path) -> tuple[str, History]:
    if name is not None and name not in names():
        raise UsageError(f"there is no format {name!r}; formats are {', '.join(names())}")
    try:
        with io.BufferedReader(io.FileIO(path), HEAD_BYTES) as file:
            return read_open(name, file, str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def read_open(name: str | None, file: PeekableFile, path: str) -> tuple[str, History]:
    """The format and the history of an open file, which messages call `path`.

    `name` None: the format is guessed. Raises UsageError, OSError.
    """
    in_place = isinstance(file, io.BufferedReader) and file.seekable()
    if file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
        in_place, unpacked = False, gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[call-overload]
        file = io.BufferedReader(unpacked, HEAD_BYTES)
    try:
        found = name or _guess(file.peek(HEAD_BYTES), path)
        return found, _read(found, file, path, in_place=in_place)
    except DAMAGED as error:
        raise UsageError(f"{path}: cannot be decompressed: {error}") from error


def _guess(head: bytes, path: str) -> str:
    """The format of a file that begins with `head`."""
    if head.startswith((binary_file.MAGIC, growing_file.MAGIC)):
        return BINARY
    text = head.decode("utf-8-sig", "replace")
    for name in names()[1:]:
        matches = getattr(_module(name), "matches", None)
        if matches is not None and matches(text):
            return name
    first = next((line.strip() for line in text.split("\n") if line.strip()), "")
    begins = f"it begins with {first[:60]!r}" if first else "it is empty"
    raise UsageError(
        f"{path}: is not a history in a format that is known ({begins}); "
        f"--format names one of {', '.join(names())}"
    )


def _read(name: str, file: PeekableFile, path: str, *, in_place: bool) -> History:
    """`in_place`: neither a pipe nor compressed."""
    if name == BINARY:
        # The columns are read one by one, and the file is never in memory as a whole.
        if in_place and isinstance(file, io.BufferedReader):
            return binary_file.read(file, path)
        return binary_file.parse(file.read(), path)
    module = _module(name)
    found: Operations | History
    if hasattr(module, "read_bytes"):
        found = module.read_bytes(file.read(), path)
    else:
        found = module.read(_lines(file, path), path)
    return found if isinstance(found, History) else History(found, origin=path)


def _module(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name.replace('-', '_')}")


def _lines(file: PeekableFile, path: str) -> Iterator[str]:
    """The lines of a text in UTF-8. Raises FormatError at the first line that is not."""
    for number, line in enumerate(_decompressed(file, path), 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            what = f"is not text in UTF-8 ({error.reason} at byte {error.start} of the line)"
            raise FormatError(path, number, what) from error


def _decompressed(file: PeekableFile, path: str) -> Iterator[bytes]:
    """The lines of a file that may be compressed. Raises FormatError where it is damaged."""
    number = 0
    try:
        for line in file:
            number += 1
            yield line
    except DAMAGED as error:
        raise FormatError(path, number + 1, f"cannot be decompressed: {error}") from error
