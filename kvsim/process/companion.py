"""A Python process of kvsim's own that works beside it: started, spoken to in lines, ended. Knows nothing of what it does.

Its standard input is a pipe from kvsim, so it knows when kvsim is gone; what it writes to stderr is kept for the day it breaks.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kvsim.waiting import Deadline

ROOT = Path(__file__).parents[2]
LEAVE_S = 2.0


class Silent(Exception):
    """No line came: the process has `ended`, or says nothing in time. The message says which, and its last words."""

    def __init__(self, ended: bool, why: str) -> None:
        self.ended = ended
        super().__init__(why)


class Companion:
    """One process that runs `python -m MODULE`. Close it, whatever happened."""

    def __init__(self, module: str, arguments: Sequence[str] = (), more_env: Mapping[str, str] = {}) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._got = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is kvsim's to handle
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath), **more_env},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytes) -> None:
        """Write to its standard input. When it is gone, the next `line` says so."""
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(data)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]

    def say_no_more(self) -> None:
        """End its standard input."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]

    def line(self, within_s: float) -> bytes:
        """Its next line, without the line end. Raises Silent."""
        if self._process.stdout.closed:  # type: ignore[union-attr]
            raise Silent(True, "its process was ended")
        deadline = Deadline.after(within_s)
        out = self._process.stdout.fileno()  # type: ignore[union-attr]
        while b"\n" not in self._got:
            ready, _, _ = select.select([out], [], [], deadline.left_s())
            chunk = os.read(out, 65536) if ready else b""
            if not chunk:
                raise Silent(bool(ready), self._last_words() if ready else "no word from its process in time")
            self._got += chunk
        line, _, self._got = self._got.partition(b"\n")
        return line

    def leave(self) -> None:
        """Hang up without ending it: for a process that stays."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        self._process.returncode = 0  # nobody waits for it any more
        self._errors.close()

    def close(self) -> None:
        """End it. Safe to repeat."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        try:
            self._process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_S)
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"its process ended with status {self._process.returncode}; it said: {said[-1] if said else 'nothing'}"
