"""A process that kvsim started itself, and how it ended.

Only this module takes exit statuses of nodes, so that none is lost or made up.
"""

from __future__ import annotations

import os
import select
import signal as signals
import subprocess
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from kvsim.errors import KvsimError
from kvsim.process import identity
from kvsim.process.identity import Identity
from kvsim.waiting import Deadline

# Pids whose exit status a Child will ask for. Until then the kernel does not use them again.
_awaited: set[int] = set()

# Helpers of kvsim itself, which are no part of any node.
_helpers: set[int] = set()

# Of an end by a signal, a shell reports the status 128 plus the number of the signal.
SIGNALLED = 128
CRASHES = frozenset(
    (signals.SIGSEGV, signals.SIGABRT, signals.SIGBUS, signals.SIGFPE, signals.SIGILL)
)
UNKNOWN_STATUS = "ended (status unknown: not our child)"


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; `signal 40` for a number without a name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def signal_number(signal: str) -> int:
    """A signal's number, from its number or from its name with or without SIG."""
    name = signal.upper()
    if name.isdigit():
        return int(name)
    return signals.Signals[name if name.startswith("SIG") else f"SIG{name}"].value


class ExitStatus(Struct, frozen=True):
    """How a process ended: with an exit code, by a signal, or unknown to us (both None)."""

    code: int | None = None
    signal: int | None = None

    @property
    def crashed(self) -> bool:
        """Whether a signal ended it that a program gets for its own mistake.

        A shell reports that as 128 plus the number of the signal.
        """
        number = self.signal if self.signal is not None else (self.code or 0) - SIGNALLED
        return number in CRASHES

    def describe(self) -> str:
        if self.signal is not None:
            return f"was killed by {signal_name(self.signal)}"
        return UNKNOWN_STATUS if self.code is None else f"exited with status {self.code}"

    def to_json(self) -> dict[str, object]:
        return {
            "status": self.code,
            "signal": self.signal and signal_name(self.signal),
            "description": self.describe(),
        }


class Child(Struct, eq=False):
    """A process started by `spawn`. Its pid is also its process group and its session.

    `stderr_start` is the size of the error log before this start, in bytes. `drain` is the
    process that copies the pseudo-terminal into the log.
    """

    identity: Identity
    argv: tuple[str, ...]
    stdout: Path
    stderr: Path
    stderr_start: int = 0
    drain: Child | None = None
    _exit_status: ExitStatus | None = None

    def __post_init__(self) -> None:
        _awaited.add(self.pid)

    @property
    def pid(self) -> int:
        return self.identity.pid

    def poll(self) -> ExitStatus | None:
        """How it ended, or None while it runs. Later calls give the same answer."""
        if self._exit_status is None:
            self._exit_status = take_status(self.pid)
            if self._exit_status:
                _awaited.discard(self.pid)
        if self._exit_status and self.drain:
            self.drain.poll()
        return self._exit_status

    def wait(self, deadline: Deadline) -> ExitStatus | None:
        """Wait until it has ended; None when the deadline passed first."""
        exit_status = self.poll()
        if exit_status is None and wait_dead(self.identity, deadline):
            exit_status = self.poll()
        return exit_status

    def drained(self, deadline: Deadline) -> bool:
        """Whether all its output has reached its log file.

        True at once, unless it writes to a pseudo-terminal.
        """
        return self.drain is None or self.drain.wait(deadline) is not None


def take_over(
    popen: subprocess.Popen[bytes],
    argv: tuple[str, ...],
    stdout: Path,
    stderr: Path | None = None,
    *,
    stderr_start: int = 0,
    drain: Child | None = None,
) -> Child:
    """Make a `Child` of a process that Popen started; from now on only the Child reaps it."""
    # Popen believes that the process is over, and never takes the status.
    popen.returncode = 0
    # The process is not reaped yet, so /proc shows it at least as a zombie.
    found = identity.identify(popen.pid)
    if found is None:
        raise KvsimError(f"process {popen.pid} was reaped by something else right after its start")
    return Child(found, argv, stdout, stderr or stdout, stderr_start=stderr_start, drain=drain)


def take_status(pid: int) -> ExitStatus | None:
    """Reap our child `pid` when it has ended.

    None while it runs; an unknown status when something else reaped it.
    """
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return ExitStatus()
    if found is None:
        return None
    if found.si_code == os.CLD_EXITED:
        return ExitStatus(code=found.si_status)
    return ExitStatus(signal=found.si_status)


def reap_adopted(pids: Iterable[int]) -> None:
    """Reap the dead among `pids`: orphans that became our children, as we are their subreaper.

    Skips the processes whose status a `Child` will ask for, and those that are not our children.
    """
    for pid in set(pids) - _awaited:
        take_status(pid)


def register_helper(pid: int) -> None:
    """Note a process of kvsim's own, so that it is never taken for an orphan of a node."""
    _helpers.add(pid)


def is_own(pid: int) -> bool:
    """Whether kvsim itself started this child: a node's process, or a helper."""
    return pid in _awaited or pid in _helpers


def wait_dead(process: Identity, deadline: Deadline) -> bool:
    """Sleep until the process is dead (the kernel wakes us) or the deadline passes."""
    handle = process.open()
    if handle is None:
        return True
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(deadline.left_s() * 1000))
    finally:
        os.close(handle)
