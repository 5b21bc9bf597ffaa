"""Keep a watchdog process beside a run, so that even a SIGKILL of kvsim leaves no process and no data directory behind."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SCRIPT = Path(__file__).with_name("watchdog.py")
WAIT = 'read -r _ || exec "$@"'  # a shell waits, which costs 1 ms; Python is started only when kvsim has died
LEAVE_S = 5.0


class Net:
    """A context manager; leaving it in order sends the watchdog home. `saying` is its word on stderr once it has tidied up."""

    def __init__(self, run: str, folders: Iterable[Path], saying: str = "") -> None:
        watchdog = [sys.executable, "-I", "-S", str(SCRIPT), run, saying, *map(str, folders)]
        self._argv = ["/bin/sh", "-c", WAIT, "sh", *watchdog]

    def __enter__(self) -> Net:
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=None,  # kvsim's own, for the word of a watchdog that had to act
            start_new_session=True,
            env={},
        )
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"done\n")
            self._process.stdin.close()
        try:
            self._process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
