"""The folder in which a node keeps its data: created, checked, locked. Does not read the log.

A folder that holds foreign files, a folder that another process uses, and a folder in a newer
format are refused and not changed.
"""

import posix

from kvstore.errors import StartError
from kvstore.log import sync_folder

FORMAT = b"kvstore-data 3\n"
FORMAT_FILE = "FORMAT"
NEW_FORMAT_FILE = "FORMAT.new"
LOCK_FILE = "lock"


def open_data_directory(path: str) -> int:
    """Create, check and lock the folder. Return the lock's file descriptor; keep it open.

    Raises StartError when the folder cannot be used. Nothing in it is changed in that case.
    """
    try:
        _create(path)
        _check(path, posix.listdir(path))
        flags = posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC
        lock = posix.open(f"{path}/{LOCK_FILE}", flags, 0o644)
    except OSError as error:
        raise StartError(f"cannot use data directory {path}: {error.strerror}") from error
    try:
        # `flock` would need the module fcntl, which costs start-up time
        posix.lockf(lock, posix.F_TLOCK, 0)
    except OSError as error:
        posix.close(lock)
        raise StartError(
            f"data directory {path} is in use by another running node; give each node its own"
        ) from error
    _write_format(path)
    return lock


def _create(path: str) -> None:
    """Create the folder and its missing parents."""
    slashes = [index for index, letter in enumerate(path) if letter == "/" and index]
    for end in [*slashes, len(path)]:
        try:
            posix.mkdir(path[:end], 0o755)
        except FileExistsError:
            continue


def _check(path: str, names: list[str]) -> None:
    if not names or set(names) <= {LOCK_FILE, NEW_FORMAT_FILE}:
        return
    try:
        fd = posix.open(f"{path}/{FORMAT_FILE}", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        raise StartError(
            f"data directory {path} holds other files, not a kvstore's; choose an empty folder"
        ) from None
    found = posix.read(fd, 64)
    posix.close(fd)
    if found != FORMAT:
        raise StartError(
            f"data directory {path} has another format ({found[:32]!r}); "
            f"this program reads and writes {FORMAT!r}"
        )


def _write_format(path: str) -> None:
    """Write the file once, so that a power cut leaves it whole or not at all."""
    if FORMAT_FILE in posix.listdir(path):
        return
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    fd = posix.open(f"{path}/{NEW_FORMAT_FILE}", flags, 0o644)
    posix.write(fd, FORMAT)
    posix.fsync(fd)
    posix.close(fd)
    posix.rename(f"{path}/{NEW_FORMAT_FILE}", f"{path}/{FORMAT_FILE}")
    sync_folder(path)
