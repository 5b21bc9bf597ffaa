"""Whether nodes certainly do not run: one number a node, shared with other processes.

Odd: the node has ended, with all its processes. Even: it may run. The number grows before each
start and after each end. So if it is odd and the same before and after something, the node did not
run at any time in between. In a file in memory (memfd_create(2)), which ends with its last user.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

COUNT = struct.Struct("=Q")


class Presence:
    """The numbers, as their one writer changes them. Call `close` when no node runs any more."""

    def __init__(self, names: Sequence[str]) -> None:
        self._index = {name: index for index, name in enumerate(names)}
        self._file = os.memfd_create("kvsim-presence")
        os.ftruncate(self._file, COUNT.size * len(names))

    @property
    def path(self) -> Path:
        """Where another process of the same user opens it while this one has it open."""
        return Path(f"/proc/{os.getpid()}/fd/{self._file}")

    def may_run(self, name: str) -> None:
        """Before a start."""
        self._set_parity(name, 0)

    def has_ended(self, name: str) -> None:
        """After the end of its last process."""
        self._set_parity(name, 1)

    def close(self) -> None:
        """Safe to repeat."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _set_parity(self, name: str, parity: int) -> None:
        index = self._index[name]
        number = _read(self._file, index)
        if self._file >= 0 and number % 2 != parity:
            os.pwrite(self._file, COUNT.pack(number + 1), COUNT.size * index)


class PresenceReader:
    """The numbers, as another process reads them; of no file: all nodes may run."""

    def __init__(self, path: Path | None) -> None:
        self._file = -1 if path is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def number(self, index: int) -> int:
        """The number of the node at an index. Compare two with `was_down`."""
        return _read(self._file, index)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def was_down(before: int, after: int) -> bool:
    """Whether a node did not run between two looks at its number."""
    return before == after and before % 2 == 1


def _read(file: int, index: int) -> int:
    if file < 0:
        return 0
    number: int = COUNT.unpack(os.pread(file, COUNT.size, COUNT.size * index))[0]
    return number
