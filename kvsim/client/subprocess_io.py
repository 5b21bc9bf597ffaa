"""Run a short command to its end, with a deadline and a limit on its output.

The command gets its own session. Its process group is killed after a time-out, after too much
output and after its end, so that no process of it remains. Exit statuses are taken by pid and never
guessed.
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
from pathlib import Path

from msgspec import Struct, field

from kvsim.client.codec import too_long
from kvsim.client.templates import Unsendable
from kvsim.errors import UsageError

CHUNK_BYTES = 65536
# How often to check whether the command has ended, on systems without pidfd.
POLL_MS = 10.0


class CommandResult(Struct):
    """The end of a command.

    `status` is its exit status, negative for a signal; None when kvsim killed it. `failure` and
    `problem` are those of an Exchange.
    """

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    status: int | None = None
    failure: str | None = None
    problem: str = ""


def run(
    argv: list[bytes], stdin: bytes, env: Mapping[str, str], cwd: Path, deadline: float, limit: int
) -> CommandResult:
    """Run `argv` until it ends, or until `deadline` (monotonic seconds).

    It may write at most `limit` bytes to each of stdout and stderr. Raises UsageError when it
    cannot be started, Unsendable when its arguments are too long for the system.
    """
    process = _start(argv, env, cwd)
    result = CommandResult()
    try:
        with _pidfd(process.pid) as end_fd:
            _PipeIO(process, stdin, result, limit, end_fd).run(deadline)
    finally:
        _end(process, result)
    return result


def _start(argv: list[bytes], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=env,
            cwd=cwd,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            what = f"{sum(map(len, argv))} bytes as arguments of a command"
            raise Unsendable(f"cannot pass {what}: {error.strerror}") from None
        raise UsageError(f"cannot run {os.fsdecode(argv[0])} in {cwd}: {error.strerror}") from None


class _PipeIO:
    """Writes to and reads from a command at the same time, so that neither blocks the other."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        result: CommandResult,
        limit: int,
        end_fd: int | None,
    ) -> None:
        # All three are pipes.
        assert process.stdin and process.stdout and process.stderr
        self._pid, self._stdin, self._pending = process.pid, process.stdin, memoryview(stdin)
        self._outputs = {
            process.stdout.fileno(): result.stdout,
            process.stderr.fileno(): result.stderr,
        }
        self._result, self._limit = result, limit
        self._poll_ms = math.inf if end_fd is not None else POLL_MS
        self._poll = select.poll()
        for fd in (*self._outputs, *([] if end_fd is None else [end_fd])):
            self._poll.register(fd, select.POLLIN)
        for fd in (*self._outputs, self._stdin.fileno()):
            os.set_blocking(fd, False)
        self._write()

    def run(self, deadline: float) -> None:
        """Until the command has ended and its output was read, or until a failure."""
        while not _has_ended(self._pid):
            remaining_ms = (deadline - time.monotonic()) * 1000
            if remaining_ms <= 0:
                self._result.failure = "timeout"
                self._result.problem = "the command did not end in time and was killed"
                return
            self._poll_once(min(remaining_ms, self._poll_ms))
            if self._exceeds_limit():
                return
        # What is left in the pipes. A child of the command that holds them open is not waited for.
        while self._poll_once(0) and not self._exceeds_limit():
            pass

    def _poll_once(self, wait_ms: float) -> int:
        """Wait once, read and write what is possible; returns how many bytes were read."""
        count = 0
        for fd, _ in self._poll.poll(wait_ms):
            if fd in self._outputs:
                count += self._read(fd)
            elif not self._stdin.closed and fd == self._stdin.fileno():
                self._poll.unregister(fd)
                self._write()
        return count

    def _read(self, fd: int) -> int:
        chunk = os.read(fd, CHUNK_BYTES)
        if not chunk:
            self._poll.unregister(fd)
        self._outputs[fd] += chunk
        return len(chunk)

    def _write(self) -> None:
        """Write what the pipe takes. Close it when all is written or the reader has closed."""
        fd = self._stdin.fileno()
        try:
            while self._pending:
                self._pending = self._pending[os.write(fd, self._pending) :]
        except BlockingIOError:
            self._poll.register(fd, select.POLLOUT)
        except OSError:
            self._stdin.close()
        else:
            self._stdin.close()

    def _exceeds_limit(self) -> bool:
        if max(map(len, self._outputs.values())) <= self._limit:
            return False
        self._result.failure, self._result.problem = "oversize", str(too_long(self._limit))
        return True


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    """A descriptor that becomes readable when the process ends. None: the system has none."""
    fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _has_ended(pid: int) -> bool:
    """Whether the process has ended. It is not reaped, so its pid and group are not reused."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _end(process: subprocess.Popen[bytes], result: CommandResult) -> None:
    """Kill the rest of the group, take the exit status, close the pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        _, waited = os.waitpid(process.pid, 0)
        status = os.waitstatus_to_exitcode(waited)
    except ChildProcessError:
        status = None
    # So that Popen does not wait for it again.
    process.returncode = 0 if status is None else status
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if result.failure is None:
        result.status = status
        if status is None:
            result.failure = "reset"
            result.problem = "another process took the command's exit status"
