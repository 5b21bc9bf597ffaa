"""Finds files in folders that other processes are changing: what vanishes meanwhile is left out.

`Path.glob` and `Path.rglob` raise FileNotFoundError when a folder is removed while they walk it
(Python before 3.13). A running node, a dying process or a second kvsim may do that at any moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ANY_DEPTH = "**"


def find_paths(folder: Path, pattern: str) -> list[Path]:
    """What is below the folder and matches, sorted; empty where the folder is not there.

    The pattern is relative, with `*`, `?`, `[…]` within a name and `**` for folders of any depth,
    as that of `Path.glob`. `**` does not go through symbolic links.
    """
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    return sorted(set(_matches(str(folder), names)))


def find_files(folder: Path, pattern: str = f"{ANY_DEPTH}/*") -> list[Path]:
    """The regular files below the folder that match, sorted. Symbolic links are left out."""
    return [path for path, _ in stat_files(folder, pattern)]


def stat_files(
    folder: Path, pattern: str = f"{ANY_DEPTH}/*"
) -> Iterator[tuple[Path, os.stat_result]]:
    """As `find_files`, each with its stat(2): no file vanishes between the two."""
    for path in find_paths(folder, pattern):
        try:
            found = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            yield path, found


def _matches(folder: str, names: list[str]) -> Iterator[Path]:
    """The matches of a pattern that is split into its names."""
    if not names:
        return
    name, rest = names[0], names[1:]
    entries = _entries(folder)
    if name == ANY_DEPTH:
        yield from _matches(folder, rest or ["*"])
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _matches(entry.path, names)
        return
    for entry in entries:
        if not fnmatchcase(entry.name, name):
            continue
        if not rest:
            yield Path(entry.path)
        elif _is_folder(entry):
            yield from _matches(entry.path, rest)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What is in the folder; nothing where it is not there, or may not be read."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []
