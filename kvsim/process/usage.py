"""What a tree of processes uses now: memory, threads, open files, and the space of a folder.

Reads with psutil, which is imported when the first sample is taken.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from kvsim.process.identity import Identity


class Usage(Struct, frozen=True):
    """`memory` and `disk` are bytes, `threads` and `files` numbers, of all processes together.

    `memory` is resident memory: pages that several processes share count for each of them.
    """

    memory: int = 0
    threads: int = 0
    files: int = 0
    disk: int = 0


def usage_of(tree: Iterable[Identity], folder: Path) -> Usage:
    """What the processes of a tree use, and the files below `folder`. What is gone counts 0."""
    import psutil

    memory = threads = files = 0
    for identity in tree:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(identity.pid)
            with process.oneshot():
                memory += process.memory_info().rss
                threads += process.num_threads()
                files += process.num_fds()
    return Usage(memory, threads, files, disk_used(folder))


def disk_used(folder: str | os.PathLike[str]) -> int:
    """The bytes of all files below a folder; what disappears meanwhile counts 0."""
    return sum(file_sizes(folder).values())


def file_sizes(folder: str | os.PathLike[str]) -> dict[str, int]:
    """Path → bytes of every file below a folder, without what disappears meanwhile."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    found |= file_sizes(entry.path)
                else:
                    found[entry.path] = entry.stat(follow_symlinks=False).st_size
    return found
