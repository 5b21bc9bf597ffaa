"""Keep a watchdog process beside a run, so that even a SIGKILL of kvsim leaves no process and no folder of its own behind."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

SCRIPT = Path(__file__).with_name("watchdog.py")
WAIT = 'read -r _ || exec "$@"'  # a shell waits, which costs 1 ms; Python is started only when kvsim has died
LEAVE_S = 5.0


class Net:
    """A context manager; leaving it in order sends the watchdog home. `saying` is its word on stderr once it has tidied up."""

    def __init__(self, run: str, made: Iterable[Path], saying: str = "") -> None:
        """`made` are the files and folders that go when kvsim is killed, with the processes that carry the mark `run`."""
        watchdog = [sys.executable, "-I", "-S", str(SCRIPT), run, saying, *map(str, made)]
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


@contextlib.contextmanager
def scratch(prefix: str, run: str = "") -> Iterator[Path]:
    """A temporary folder that is gone after any ending; after a SIGKILL of kvsim so are the processes that carry the mark `run`."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name, Net(run or uuid.uuid4().hex, [Path(name)]):
        yield Path(name)
