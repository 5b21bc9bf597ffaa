"""Which process is it? Pid, start time and boot together identify a process for ever.

A bare pid is only a hint, because the kernel uses pids again. Every signal goes through this
module, so that a foreign process that got an old pid never gets it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from msgspec import Struct

from kvsim.process import procfs
from kvsim.structs import to_dict
from kvsim.text import truncate

DEAD_STATES = frozenset("ZXx")
STOPPED_STATES = frozenset("Tt")

COMMAND_LENGTH_MAX = 160


class Identity(Struct, frozen=True, order=True):
    """One process: no other process of any boot has the same three values."""

    pid: int
    start_ticks: int
    boot_id: str

    def to_json(self) -> dict[str, object]:
        return to_dict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Identity:
        """Raises KeyError or ValueError when `value` was not written by `to_json`."""
        return cls(int(str(value["pid"])), int(str(value["start_ticks"])), str(value["boot_id"]))

    def stat(self) -> procfs.Stat | None:
        """What /proc shows now; None when the process is gone or another one has its pid."""
        entry = procfs.stat(self.pid)
        same = (
            entry is not None
            and entry.start_ticks == self.start_ticks
            and self.boot_id == procfs.boot_id()
        )
        return entry if same else None

    def state(self) -> str | None:
        """The state letter of the process (R, S, D, T, Z, …), or None when it is gone."""
        entry = self.stat()
        return entry.state if entry else None

    def alive(self) -> bool:
        """Whether any of its threads can still run. A zombie is dead."""
        state = self.state()
        if state in DEAD_STATES:
            # The first thread may have ended while others go on.
            return any(letter not in DEAD_STATES for letter in procfs.thread_states(self.pid))
        return state is not None

    def stopped(self) -> bool:
        """Whether every thread is stopped, that is, whether a SIGSTOP has taken effect."""
        states = procfs.thread_states(self.pid) if self.stat() else []
        return bool(states) and all(letter in STOPPED_STATES for letter in states)

    def open(self) -> int | None:
        """A pidfd of exactly this process, to be closed by the caller; None when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # Checked after opening: from then on the handle cannot mean another process.
        if self.stat():
            return handle
        os.close(handle)
        return None

    def signal(self, number: int) -> bool:
        """Send a signal to exactly this process.

        False when it is gone; PermissionError when kvsim may not signal it.
        """
        try:
            handle = self.open()
        except OSError:
            # A kernel without pidfds, or no file descriptor left.
            return self._signal_by_pid(number)
        if handle is None:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def _signal_by_pid(self, number: int) -> bool:
        """Without a pidfd: check the start time right before the signal."""
        if not self.stat():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def describe(self) -> str:
        """`pid 4127 (python -m nodes.kvstore --port=…)`."""
        command = procfs.cmdline(self.pid) if self.stat() else ""
        if not command:
            return f"pid {self.pid}"
        return f"pid {self.pid} ({truncate(command, COMMAND_LENGTH_MAX)})"


def identify(pid: int) -> Identity | None:
    """The identity of the process that has this pid now, or None."""
    return from_stat(procfs.stat(pid))


def from_stat(entry: procfs.Stat | None) -> Identity | None:
    return Identity(entry.pid, entry.start_ticks, procfs.boot_id()) if entry else None
