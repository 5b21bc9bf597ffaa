"""Ends what a run started when kvsim itself was killed: also grandchildren, which no parent-death signal
reaches.

A sleeping shell (about 1 ms to start, no Python) waits on a pipe that only kvsim holds. A word on it means
that all is well; its end without a word means that kvsim died, and the shell becomes a Python that kills by
mark.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kvsim.process.environment import Mark
from kvsim.process.identity import from_stat
from kvsim.process.tree import Snapshot
from kvsim.waiting import Deadline, wait_until

SWEEP_WITHIN_S = 10.0
WAIT = 'trap "" INT TERM HUP; read word && exit 0; exec "$@"'
SWEEP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from kvsim.process.guardian import sweep; sweep(sys.argv[2])"
)


@dataclass
class Guardian:
    """Stands by until `dismiss`. Whoever forks kvsim without an exec keeps the pipe open and blinds it."""

    _shell: subprocess.Popen[bytes]

    @classmethod
    def post(cls, run: str) -> Guardian:
        """Watch over everything marked `KVSIM_RUN=<run>`."""
        root = str(Path(__file__).resolve().parents[2])
        sweeper = [sys.executable, "-I", "-S", "-c", SWEEP, root, run]
        shell = subprocess.Popen(
            ["/bin/sh", "-c", WAIT, "kvsim-guardian", *sweeper],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
            start_new_session=True,
        )
        return cls(shell)

    @property
    def pid(self) -> int:
        return self._shell.pid

    def dismiss(self) -> None:
        """All was ended in order: go home. Safe to repeat."""
        if self._shell.returncode is None:
            try:
                self._shell.communicate(b"done\n", timeout=5)
            except subprocess.TimeoutExpired:
                self._shell.kill()
                self._shell.wait()


def sweep(run: str) -> None:
    """KILL everything that carries the mark of `run`, and what descends from it, until nothing is left.

    Raises TimedOut when something survived.
    """
    wait_until(lambda: not _kill_marked(run), Deadline.after(SWEEP_WITHIN_S), f"the end of run {run}")


def _kill_marked(run: str) -> int:
    """How many living processes there were."""
    snapshot = Snapshot()
    pids = snapshot.with_descendants(snapshot.marks.get(Mark(run), ()))
    found = [one for one in (from_stat(snapshot.table[pid]) for pid in pids) if one and one.alive()]
    for one in found:
        try:
            one.signal(signal.SIGKILL)
        except PermissionError:
            continue
    return len(found)
