"""Helper processes of kvsim: Python processes that work beside it and exchange lines with it.

`WorkerProcess` starts a process that ends with kvsim. `DaemonClient` connects by a unix socket to a
process that outlives the command that started it. Both send requests and read lines; what a request
means is the subject of their users. `WorkerRequests` and `send_reply` are the worker's side:
requests are JSON, one on each line, each with a `number`; the reply to each is one line `[number,
reply]`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Protocol

from kvsim.process.child import register_helper
from kvsim.waiting import Deadline

ROOT = Path(__file__).parents[2]
CLOSE_WAIT_S = 2.0
CHUNK_BYTES = 65536
REQUEST_CHUNK_BYTES = 1 << 20
# Pid, uid, gid, as in SO_PEERCRED.
CREDENTIALS = struct.Struct("3i")
INHERITED = ("PATH", "LD_LIBRARY_PATH")
NO_LINE = "its process sent no line in time"
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


class WorkerUnavailable(Exception):
    """A worker sent no line. `ended`: because its process has ended; otherwise it was too slow."""

    def __init__(self, ended: bool, message: str) -> None:
        self.ended = ended
        super().__init__(message)


class WorkerProcess:
    """A process that runs `python -m MODULE`. Always close it.

    A module in the working directory does not hide one of the standard library.
    Its standard input is a pipe, so it notices when kvsim has ended. Its standard error is recorded
    for the message of a failure.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] = NO_VARIABLES,
    ) -> None:
        # Open as long as the process runs.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._received = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # Ctrl-C is for kvsim to handle.
            start_new_session=True,
            env={**_environment(), **variables},
        )
        register_helper(self._process.pid)
        self._stdin, self._stdout = _pipes(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytes) -> None:
        """Write to its standard input. When it has ended, the next `read_line` reports that."""
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(data)
            self._stdin.flush()

    def close_stdin(self) -> None:
        """End its standard input."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def read_line(self, timeout_s: float) -> bytes:
        """Its next line, without the line end. Raises WorkerUnavailable."""
        if self._stdout.closed:
            raise WorkerUnavailable(True, "its process was ended")
        deadline = Deadline.after(timeout_s)
        handle = self._stdout.fileno()
        while b"\n" not in self._received:
            ready, _, _ = select.select([handle], [], [], deadline.left_s())
            if not ready:
                raise WorkerUnavailable(False, NO_LINE)
            chunk = os.read(handle, CHUNK_BYTES)
            if not chunk:
                raise WorkerUnavailable(True, self._end_message())
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line

    def detach(self) -> None:
        """Close the pipes without ending the process: it outlives kvsim."""
        self._close_pipes()
        # From now on Popen does not wait for it.
        self._process.returncode = 0
        self._errors.close()

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._close_pipes()
        try:
            self._process.wait(CLOSE_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _close_pipes(self) -> None:
        for stream in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                stream.close()

    def _end_message(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_WAIT_S)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else "nothing"
        return f"its process ended with status {self._process.returncode}; its last line: {last}"


def _environment() -> dict[str, str]:
    """The variables that a Python process of kvsim needs: an interpreter may need its libraries."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {"PATH": os.defpath, **inherited, "PYTHONPATH": str(ROOT)}


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None and process.stdout is not None, "started with two pipes"
    return process.stdin, process.stdout


class DaemonClient:
    """A connection to the process that listens on the unix socket `path`. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises WorkerUnavailable when no process listens there."""
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            with short_socket_path(path) as name:
                self._socket.connect(name)
        except OSError as error:
            self._socket.close()
            raise WorkerUnavailable(
                True, f"no process listens at {path} ({error.strerror})"
            ) from error

    @property
    def pid(self) -> int:
        data = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        pid, _, _ = CREDENTIALS.unpack(data)
        return int(pid)

    def send(self, data: bytes) -> None:
        """Send bytes. When the process has ended, the next `read_line` reports that."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def read_line(self, timeout_s: float) -> bytes:
        """Its next line, without the line end. Raises WorkerUnavailable."""
        deadline = Deadline.after(timeout_s)
        while b"\n" not in self._received:
            self._socket.settimeout(max(0.001, deadline.left_s()))
            try:
                chunk = self._socket.recv(CHUNK_BYTES)
            except TimeoutError:
                raise WorkerUnavailable(False, NO_LINE) from None
            except OSError as error:
                raise WorkerUnavailable(True, f"its process has gone ({error.strerror})") from error
            if not chunk:
                raise WorkerUnavailable(True, "its process has gone")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line

    def close(self) -> None:
        """Close the connection. The process runs on. Safe to repeat."""
        self._socket.close()


class Closable(Protocol):
    def close(self) -> object: ...


@contextlib.contextmanager
def close_on_error(worker: Closable) -> Iterator[None]:
    """Close a worker, or what owns it, when its start fails inside the block for any reason."""
    try:
        yield
    except BaseException:
        worker.close()
        raise


@contextlib.contextmanager
def short_socket_path(path: Path) -> Iterator[str]:
    """A name of the path that is short enough for a unix socket. Valid inside the block.

    Raises OSError when its folder does not exist.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class WorkerRequests:
    """Reads requests from a file descriptor. `closed` once its end was read."""

    def __init__(self, fd: int) -> None:
        self._fd, self._received = fd, b""
        self.closed = False

    def read(self) -> list[Any]:
        """The requests that have arrived completely; may be empty."""
        data = os.read(self._fd, REQUEST_CHUNK_BYTES)
        self.closed = not data
        *lines, self._received = (self._received + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def first(self) -> Any:
        """Wait for the first request; None when there is none."""
        requests: list[Any] = []
        while not requests and not self.closed:
            requests = self.read()
        return requests[0] if requests else None


def send_reply(request: Mapping[str, Any], reply: Any) -> None:
    """Print the reply to a request, with its number."""
    print(json.dumps([request["number"], reply]), flush=True)
