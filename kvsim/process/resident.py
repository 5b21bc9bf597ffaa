"""A Python process of kvsim's own that outlives the command that started it, from the side of a later command: spoken to in lines.

It listens on a unix socket in a folder. The same words as a Companion's; closing ends the conversation and not the process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from kvsim.process.companion import Silent
from kvsim.waiting import Deadline

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid, as SO_PEERCRED has them
CHUNK_BYTES = 65536


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for the path that is short enough for a unix socket, while inside. Raises OSError when its folder is not there."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class Resident:
    """One conversation with the process that listens at `path`. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises Silent when nobody listens there."""
        self._got = b""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            with short(path) as name:
                self._socket.connect(name)
        except OSError as error:
            self._socket.close()
            raise Silent(True, f"nobody listens at {path} ({error.strerror})") from error

    @property
    def pid(self) -> int:
        told = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        return CREDENTIALS.unpack(told)[0]

    def send(self, data: bytes) -> None:
        """Say something. When nobody is there any more, the next `line` says so."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def line(self, within_s: float) -> bytes:
        """Its next line, without the line end. Raises Silent."""
        deadline = Deadline.after(within_s)
        while b"\n" not in self._got:
            self._socket.settimeout(max(0.001, deadline.left_s()))
            try:
                chunk = self._socket.recv(CHUNK_BYTES)
            except TimeoutError:
                raise Silent(False, "no word from its process in time") from None
            except OSError as error:
                raise Silent(True, f"its process has gone ({error.strerror})") from error
            if not chunk:
                raise Silent(True, "its process has gone")
            self._got += chunk
        line, _, self._got = self._got.partition(b"\n")
        return line

    def close(self) -> None:
        """End the conversation. Safe to repeat."""
        self._socket.close()
