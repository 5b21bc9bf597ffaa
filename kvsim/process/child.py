"""A process kvsim started itself, and how it ended.

Only this file takes exit statuses, so none is lost or made up.
"""

from __future__ import annotations

import os
import select
import signal as signals
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.errors import KvsimError
from kvsim.process import identity
from kvsim.process.identity import Identity
from kvsim.waiting import Deadline

_awaited: set[int] = (
    set()
)  # pids whose status a Child will ask for; the kernel keeps them from re-use until then

UNKNOWN_STATUS = "ended (status unknown: not our child)"


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; `signal 40` for what has no name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True)
class Ended:
    """How a process ended: by exit status, by signal, or (both None) seen gone without a status."""

    status: int | None = None
    signal: int | None = None

    def describe(self) -> str:
        if self.signal is not None:
            return f"was killed by {signal_name(self.signal)}"
        return UNKNOWN_STATUS if self.status is None else f"exited with status {self.status}"

    def to_json(self) -> dict[str, object]:
        return {
            "status": self.status,
            "signal": self.signal and signal_name(self.signal),
            "says": self.describe(),
        }


@dataclass(eq=False)
class Child:
    """One process started by `spawn`. Its pid is also its process group and its session."""

    identity: Identity
    argv: tuple[str, ...]
    stdout: Path
    stderr: Path
    stderr_from: int = 0  # bytes that stood in `stderr` before this start
    started_at: float = field(default_factory=time.monotonic)
    drain: Child | None = None  # the process that copies the pseudo-terminal into the log
    _ended: Ended | None = None

    def __post_init__(self) -> None:
        _awaited.add(self.pid)

    @property
    def pid(self) -> int:
        return self.identity.pid

    @property
    def pgid(self) -> int:
        return self.identity.pid

    def poll(self) -> Ended | None:
        """How it ended, or None while it lives. Asking again gives the same answer."""
        if self._ended is None:
            self._ended = take_status(self.pid)
            if self._ended:
                _awaited.discard(self.pid)
        if self._ended and self.drain:
            self.drain.poll()
        return self._ended

    def wait(self, deadline: Deadline) -> Ended | None:
        """Wait until it has ended; None when the deadline passed first."""
        ended = self.poll()
        if ended is None and wait_dead(self.identity, deadline):
            ended = self.poll()
        return ended

    def drained(self, deadline: Deadline) -> bool:
        """Whether all it wrote has reached its log file: at once, unless it writes to a pseudo-terminal."""
        return self.drain is None or self.drain.wait(deadline) is not None


def take_over(
    popen: subprocess.Popen[bytes],
    argv: tuple[str, ...],
    stdout: Path,
    stderr: Path | None = None,
    *,
    stderr_from: int = 0,
    drain: Child | None = None,
) -> Child:
    """From here on a `Child` alone reaps the process; Popen is told that it is over, so it never takes the
    status.
    """
    popen.returncode = 0
    found = identity.of(popen.pid)  # not reaped yet, so it is there at least as a zombie
    if found is None:
        raise KvsimError(f"process {popen.pid} was reaped by something else right after its start")
    return Child(found, argv, stdout, stderr or stdout, stderr_from=stderr_from, drain=drain)


def take_status(pid: int) -> Ended | None:
    """Reap our child `pid` when it has ended.

    None while it lives; without a status when somebody else reaped it.
    """
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return Ended()
    if found is None:
        return None
    return Ended(status=found.si_status) if found.si_code == os.CLD_EXITED else Ended(signal=found.si_status)


def reap_adopted(pids: Iterable[int]) -> None:
    """Take the dead among `pids` off the process table: orphans that came to us as subreaper.

    What a `Child` waits for is left alone, and so is what is not our child.
    """
    for pid in set(pids) - _awaited:
        take_status(pid)


def wait_dead(identity: Identity, deadline: Deadline) -> bool:
    """Sleep until the process is dead (the kernel wakes us) or the deadline passes."""
    handle = identity.open()
    if handle is None:
        return True
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(deadline.left_s() * 1000))
    finally:
        os.close(handle)
