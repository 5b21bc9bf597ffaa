"""The folder a node keeps its data in: made, checked, locked. Knows nothing of what the log holds.

A folder with other people's files in it is refused and never touched; so is one that another process has
open, and one written by a newer format.
"""

import posix
from fcntl import LOCK_EX, LOCK_NB, flock

from kvstore.errors import StartError

FORMAT = b"kvstore-data 1\n"
FORMAT_FILE = "FORMAT"
LOCK_FILE = "lock"


def open_data_dir(path):
    """Make, check and lock the folder; return the open lock, to be kept as long as the node lives.

    Raises StartError with one line when the folder cannot be used. Nothing in it is changed in that case.
    """
    try:
        _make(path)
        _check(path, posix.listdir(path))
        lock = posix.open(f"{path}/{LOCK_FILE}", posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartError(f"cannot use data directory {path}: {error.strerror}") from error
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except OSError as error:
        posix.close(lock)
        raise StartError(
            f"data directory {path} is in use by another running node; give each its own"
        ) from error
    _stamp(path)
    return lock


def _make(path):
    for end in [at for at, letter in enumerate(path) if letter == "/" and at] + [len(path)]:
        try:
            posix.mkdir(path[:end], 0o755)
        except FileExistsError:
            continue


def _check(path, names):
    if not names or set(names) <= {LOCK_FILE}:
        return
    try:
        fd = posix.open(f"{path}/{FORMAT_FILE}", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        raise StartError(
            f"data directory {path} holds other files, not a kvstore's; choose an empty one"
        ) from None
    found = posix.read(fd, 64)
    posix.close(fd)
    if found != FORMAT:
        raise StartError(
            f"data directory {path} has another format ({found[:32]!r}); this program writes {FORMAT!r}"
        )


def _stamp(path):
    fd = posix.open(f"{path}/{FORMAT_FILE}", posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
    posix.write(fd, FORMAT)
    posix.close(fd)
