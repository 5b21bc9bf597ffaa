"""Reads a file that a user named: a regular file, of a bounded size. The only place that opens one.

A pipe without a writer would never end, a device never has an end, and a file of a wrong kind may
be larger than memory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kvsim.text import closest

# O_NONBLOCK: opening a pipe without a writer must not wait.
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class UnreadableFile(Exception):
    """A file that cannot be read. The message says why; it does not name the file."""


def _similar_name(path: Path) -> str:
    """A hint at a file of the same folder whose name is similar; empty where there is none."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return ""
    similar = closest(path.name, names)
    return f"; did you mean `{path.with_name(similar)}`?" if similar else ""


def read_user_file(path: Path, size_max: int) -> bytes:
    """The content of a regular file. Raises UnreadableFile, also when it is larger."""
    try:
        with os.fdopen(os.open(path, FLAGS), "rb") as file:
            kind = stat.S_IFMT(os.fstat(file.fileno()).st_mode)
            if kind != stat.S_IFREG:
                raise UnreadableFile(f"is no file, but {KINDS.get(kind, 'something else')}")
            data = file.read(size_max + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        hint = _similar_name(path) if isinstance(error, FileNotFoundError) else ""
        raise UnreadableFile(f"cannot be read: {why}{hint}") from None
    if len(data) > size_max:
        raise UnreadableFile(f"is larger than {size_max // 1024 // 1024} MiB")
    return data
