"""Run one short command to its end, under a deadline and within a size. The thin edge of `speak: command`.

The command gets a session of its own and is killed as a group: on a time-out, on a flood, and after its end,
so that nothing it started stays. Exit statuses are taken by pid and never guessed.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.client.codec import too_long
from kvsim.client.templates import Unsendable
from kvsim.errors import UsageError

CHUNK_BYTES = 65536
LOOK_MS = 10.0  # how often to look whether the command has ended, where the system cannot tell us


@dataclass
class Finished:
    """What became of a command. `status` is its exit status, negative for a signal; None when it had to be
    killed.
    """

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    status: int | None = None
    failure: str | None = None
    problem: str = ""


def run(
    argv: list[bytes], stdin: bytes, env: Mapping[str, str], cwd: Path, deadline: float, limit: int
) -> Finished:
    """Run `argv` until it ends or `deadline` (monotonic seconds); at most `limit` bytes of each output.

    Raises UsageError when it cannot be started at all, Unsendable when the system cannot pass so much.
    """
    process = _start(argv, env, cwd)
    done = Finished()
    try:
        with _pidfd(process.pid) as ended:
            _Pump(process, stdin, done, limit, ended).work(deadline)
    finally:
        _end(process, done)
    return done


def _start(argv: list[bytes], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, start_new_session=True, bufsize=0
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            size = sum(map(len, argv))
            raise Unsendable(
                f"cannot pass {size} bytes as arguments of a command: {error.strerror}"
            ) from None
        raise UsageError(f"cannot run {os.fsdecode(argv[0])} in {cwd}: {error.strerror}") from None


class _Pump:
    """Moves bytes in and out of a running command, so that neither side can wait for the other."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdin: bytes, done: Finished, limit: int, ended: int | None
    ) -> None:
        assert process.stdin and process.stdout and process.stderr  # all three are pipes
        self._pid, self._entrance, self._pending = process.pid, process.stdin, memoryview(stdin)
        self._outputs = {process.stdout.fileno(): done.stdout, process.stderr.fileno(): done.stderr}
        self._done, self._limit = done, limit
        self._look_ms = math.inf if ended is not None else LOOK_MS
        self._poll = select.poll()
        for number in (*self._outputs, *([] if ended is None else [ended])):
            self._poll.register(number, select.POLLIN)
        for number in (*self._outputs, self._entrance.fileno()):
            os.set_blocking(number, False)
        self._write()

    def work(self, deadline: float) -> None:
        """Until the command has ended and what it said has been read, or something is wrong."""
        while not _has_ended(self._pid):
            left_ms = (deadline - time.monotonic()) * 1000
            if left_ms <= 0:
                self._done.failure = "timeout"
                self._done.problem = "the command did not end in time and was killed"
                return
            self._turn(min(left_ms, self._look_ms))
            if self._too_much():
                return
        while self._turn(0) and not self._too_much():
            pass  # what it left in the pipes; a child of it that still holds them is not waited for

    def _turn(self, wait_ms: float) -> int:
        """Wait once, move what can be moved; returns how many bytes came out."""
        got = 0
        for number, _ in self._poll.poll(wait_ms):
            if number in self._outputs:
                got += self._read(number)
            elif not self._entrance.closed and number == self._entrance.fileno():
                self._poll.unregister(number)
                self._write()
        return got

    def _read(self, number: int) -> int:
        chunk = os.read(number, CHUNK_BYTES)
        if not chunk:
            self._poll.unregister(number)
        self._outputs[number] += chunk
        return len(chunk)

    def _write(self) -> None:
        """Write what fits; then watch for room, or close when all is written or nobody reads."""
        number = self._entrance.fileno()
        try:
            while self._pending:
                self._pending = self._pending[os.write(number, self._pending) :]
        except BlockingIOError:
            self._poll.register(number, select.POLLOUT)
        except OSError:
            self._entrance.close()
        else:
            self._entrance.close()

    def _too_much(self) -> bool:
        if max(map(len, self._outputs.values())) <= self._limit:
            return False
        self._done.failure, self._done.problem = "oversize", str(too_long(self._limit))
        return True


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """A file descriptor that becomes readable when the process ends; None where there is no such thing."""
    number = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    try:
        yield number
    finally:
        if number is not None:
            os.close(number)


def _has_ended(pid: int) -> bool:
    """Whether the process has ended. It stays unreaped, so that its pid and its group are still its own."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _end(process: subprocess.Popen[bytes], done: Finished) -> None:
    """Kill what is left of the group, take the exit status, close the pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        _, waited = os.waitpid(process.pid, 0)
        status = os.waitstatus_to_exitcode(waited)
    except ChildProcessError:
        status = None
    process.returncode = 0 if status is None else status  # tell Popen that there is nothing left to wait for
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if done.failure is None:
        done.status = status
        if status is None:
            done.failure, done.problem = "reset", "the command's exit status was taken by somebody else"
