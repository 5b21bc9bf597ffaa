"""Which process is meant: pid, start time and boot together.

A bare pid is a hint, because pids are used again.

Everything that signals a process goes through here, so that a stranger who got an old pid is never hit.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from kvsim.process import proc

DEAD_STATES = frozenset("ZXx")
STOPPED_STATES = frozenset("Tt")


@dataclass(frozen=True, order=True)
class Identity:
    """One process, for ever: no other process of any boot has the same three values."""

    pid: int
    start_ticks: int
    boot_id: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Identity:
        """Raises KeyError or ValueError when `value` was not written by `to_json`."""
        return cls(int(str(value["pid"])), int(str(value["start_ticks"])), str(value["boot_id"]))

    def stat(self) -> proc.Stat | None:
        """What /proc says now; None when the process is gone or its pid belongs to another one."""
        entry = proc.stat(self.pid)
        same = entry is not None and entry.start_ticks == self.start_ticks and self.boot_id == proc.boot_id()
        return entry if same else None

    def state(self) -> str | None:
        """The state letter of the process (R, S, D, T, Z, …), or None when it is gone."""
        entry = self.stat()
        return entry.state if entry else None

    def alive(self) -> bool:
        """Whether any of its threads can still run. A zombie is dead."""
        state = self.state()
        if state in DEAD_STATES:  # the first thread may have left while others work on
            return any(letter not in DEAD_STATES for letter in proc.thread_states(self.pid))
        return state is not None

    def stopped(self) -> bool:
        """Whether every thread is stopped (SIGSTOP has really bitten)."""
        states = proc.thread_states(self.pid) if self.stat() else []
        return bool(states) and all(letter in STOPPED_STATES for letter in states)

    def open(self) -> int | None:
        """A pidfd of exactly this process, to be closed by the caller; None when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.stat():  # checked after opening: the handle cannot move to another process any more
            return handle
        os.close(handle)
        return None

    def signal(self, number: int) -> bool:
        """Send a signal to exactly this process.

        False when it is gone; PermissionError when it is not ours to signal.
        """
        try:
            handle = self.open()
        except OSError:  # a kernel without pidfds, or no file number left
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
        """Where there is no pidfd to be had: the start time is re-checked right before."""
        if not self.stat():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def describe(self) -> str:
        """`pid 4127 (python -m nodes.kvstore --port=…)`."""
        command = proc.cmdline(self.pid) if self.stat() else ""
        return f"pid {self.pid} ({command[:160]})" if command else f"pid {self.pid}"


def of(pid: int) -> Identity | None:
    """The identity of the process that has this pid now, or None."""
    return from_stat(proc.stat(pid))


def from_stat(entry: proc.Stat | None) -> Identity | None:
    return Identity(entry.pid, entry.start_ticks, proc.boot_id()) if entry else None
