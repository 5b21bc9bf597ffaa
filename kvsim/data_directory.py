"""Files in the data directory of a node, and never one outside of it.

A node may make links in its data directory, and a name may hold `..`. So every file is found by a
walk that opens one folder after the other and reads each link itself: what the kernel then opens is
what was checked, whatever a process of the node changes meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kvsim.errors import KvsimError

# As in the kernel.
LINKS_MAX = 40
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe without a reader must not wait.
FILE_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
TEMPORARY = ".kvsim-new"


class NotInDirectory(KvsimError):
    """A name that does not mean a regular file below the data directory."""


def write_file(root: Path, name: str, content: bytes, owner: tuple[int, int] | None = None) -> None:
    """Write the file `name` below `root`, with its folders; replaces what has that name.

    An earlier file keeps its mode and its owner; `owner` is (uid, gid). Raises NotInDirectory.
    """
    with _located(root, name, make_folders=True) as (folder, last):
        before = _status(folder, last, name)
        mode = stat.S_IMODE(before.st_mode) if before else 0o666
        if before and owner is None:
            owner = (before.st_uid, before.st_gid)
        temporary = last[:200] + TEMPORARY
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(temporary, flags, mode, dir_fd=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if before:
                os.fchmod(handle, mode)
            if owner:
                # Not permitted: then the file belongs to the user of kvsim.
                with contextlib.suppress(PermissionError):
                    os.fchown(handle, *owner)
        os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)


@contextlib.contextmanager
def open_file(root: Path, name: str) -> Iterator[int]:
    """A descriptor for reading and writing the regular file `name` below `root`.

    A file that has other names as well gets a copy for this name first: the others may be outside.
    Raises NotInDirectory.
    """
    with _located(root, name) as (folder, last):
        handle = _open(folder, last, name)
    try:
        if os.fstat(handle).st_nlink > 1:
            with os.fdopen(handle, "rb", closefd=False) as file:
                write_file(root, name, file.read())
            os.close(handle)
            with _located(root, name) as (folder, last):
                handle = _open(folder, last, name)
        yield handle
    finally:
        os.close(handle)


def is_inside(root: Path, path: Path) -> bool:
    """Whether the path, with its links resolved, is below the folder."""
    try:
        return path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False


@contextlib.contextmanager
def _located(root: Path, name: str, *, make_folders: bool = False) -> Iterator[tuple[int, str]]:
    """The open folder that has the file, and the file's name in it, which is no link."""
    todo = _parts(root, name, name)
    try:
        folders = [os.open(root, FOLDER_FLAGS)]
    except OSError as error:
        raise NotInDirectory(f"the data directory {root}: {error.strerror}") from error
    links = 0
    try:
        while todo:
            part = todo.pop(0)
            if part == "..":
                if len(folders) == 1:
                    raise _outside(root, name)
                os.close(folders.pop())
                continue
            target = _link(folders[-1], part)
            if target is not None:
                links += 1
                if links > LINKS_MAX:
                    raise NotInDirectory(f"{name} in {root} is a chain of links without an end")
                if target.startswith("/"):
                    while len(folders) > 1:
                        os.close(folders.pop())
                todo = [*_parts(root, target, name), *todo]
            elif todo:
                folders.append(_enter(folders[-1], part, root, name, make_folders))
            else:
                yield folders[-1], part
                return
        raise NotInDirectory(f"{name} in {root} is a folder and no file")
    finally:
        for folder in folders:
            os.close(folder)


def _parts(root: Path, path: str, name: str) -> list[str]:
    """The parts of a path from the root; an absolute one has to lead below it."""
    if path.startswith("/"):
        real = root.resolve()
        if not Path(path).is_relative_to(real):
            raise _outside(root, name)
        path = str(Path(path).relative_to(real))
    return [part for part in path.split("/") if part not in ("", ".")]


def _enter(folder: int, part: str, root: Path, name: str, make: bool) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=folder)
    try:
        return os.open(part, FOLDER_FLAGS, dir_fd=folder)
    except OSError as error:
        raise NotInDirectory(f"{name} in {root}: {part}: {error.strerror}") from error


def _open(folder: int, last: str, name: str) -> int:
    try:
        handle = os.open(last, FILE_FLAGS, dir_fd=folder)
    except OSError as error:
        raise NotInDirectory(f"{name} cannot be opened: {error.strerror}") from error
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise NotInDirectory(f"{name} is no regular file")


def _status(folder: int, last: str, name: str) -> os.stat_result | None:
    try:
        found = os.stat(last, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise NotInDirectory(f"{name} exists and is no regular file")
    return found


def _link(folder: int, part: str) -> str | None:
    """What the link `part` points to; None when it is none, or does not exist."""
    try:
        return os.readlink(part, dir_fd=folder)
    except OSError:
        return None


def _outside(root: Path, name: str) -> NotInDirectory:
    return NotInDirectory(f"{name} leads out of the data directory {root}")
