"""Starts a process in its own session, with its output in files.

On request it dies with kvsim. Processes are started from the main thread only: the kernel sends the
parent-death signal when the *thread* that started the process ends. Never uses preexec_fn, which
may deadlock in a process with threads. Does not wait until the process is ready.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from msgspec import Struct, field

from kvsim.errors import KvsimError
from kvsim.process import exec_wrappers, pty_log
from kvsim.process.child import Child, ExitStatus, take_over
from kvsim.process.executable import Cause, SpawnError, explain_format, resolve
from kvsim.process.inherited import ignored_signals
from kvsim.process.netns import in_namespace

# The exit codes of a shell and of most wrappers: cannot be run, cannot be found.
NOT_RUN = (126, 127)
FIRST_BYTES = 8192


class SpawnPlan(Struct, frozen=True):
    """Everything needed to start one process.

    `stderr` None means: into the same file as stdout. `limits` are named as in prlimit(1); without
    `core` the process writes no core file. `stdin_open`: its standard input never ends. `pty`:
    output through a pseudo-terminal, which gives unbuffered logs from any program; it needs
    `stderr` None. `net` is a handle of the network namespace for the process; None is kvsim's own.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    stdout: Path
    stderr: Path | None = None
    die_with_parent: bool = True
    user: str | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    line_buffered: bool = False
    pty: bool = False
    stdin_open: bool = False
    net: int | None = None

    @property
    def error_log(self) -> Path:
        return self.stderr or self.stdout


def spawn(plan: SpawnPlan) -> Child:
    """Start it and return at once. Output is appended to the plan's files.

    Raises SpawnError with the reason in one sentence.
    """
    if threading.current_thread() is not threading.main_thread():
        raise KvsimError(
            "processes are started from the main thread only "
            "(the kernel would kill them with the thread)"
        )
    _check(plan)
    argv = _command(plan)
    stderr_start = _size(plan.error_log)
    with contextlib.ExitStack() as stack:
        out, err, reading = _outputs(plan, stack)
        popen = _popen(plan, argv, out, err)
        drain = None if reading is None else pty_log.drain(reading, plan.stdout)
    return take_over(
        popen, plan.argv, plan.stdout, plan.stderr, stderr_start=stderr_start, drain=drain
    )


def explain_early_end(
    plan: SpawnPlan, exit_status: ExitStatus, stderr_start: int = 0
) -> SpawnError | None:
    """Why a process ended at once with status 126 or 127; None when it ended otherwise.

    Behind a wrapper the errors of the loader and of the system show only as a status and a line in
    the error log.
    """
    if exit_status.code not in NOT_RUN:
        return None
    output = _first_bytes(plan.error_log, stderr_start)
    for needle, cause, why in EARLY:
        line = next((line for line in output.splitlines() if needle in line), None)
        if line is not None:
            found = f"{why}: {line.strip()}"
            if cause is Cause.FORMAT:
                found = f"{explain_format(resolve(plan.argv[0], plan.cwd, plan.env))}: {found}"
            return SpawnError(cause, plan.argv[0], found)
    return None


EARLY = (
    ("error while loading shared libraries", Cause.LIBRARY, "a shared library is missing"),
    ("not found (required by", Cause.LIBRARY, "a shared library is too old"),
    ("Error relocating", Cause.LIBRARY, "a shared library does not fit"),
    ("Error loading shared library", Cause.LIBRARY, "a shared library is missing"),
    ("Permission denied", Cause.FORBIDDEN, "the system refused"),
    ("Exec format error", Cause.FORMAT, "the system cannot run this format"),
    ("No such file or directory", Cause.MISSING, "a file that it needs is missing"),
)


def _check(plan: SpawnPlan) -> None:
    if not plan.cwd.is_dir():
        raise SpawnError(
            Cause.WORKDIR,
            plan.argv[0] if plan.argv else "''",
            f"the working directory {plan.cwd} does not exist",
        )
    if plan.pty and plan.stderr is not None:
        raise SpawnError(
            Cause.SYSTEM,
            plan.argv[0],
            "a pseudo-terminal has one stream: stdout and stderr share a file",
        )


def _command(plan: SpawnPlan) -> list[str]:
    """The resolved program, wrapped from the inside out; every wrapper execs the next."""
    argv = [str(resolve(plan.argv[0] if plan.argv else "", plan.cwd, plan.env)), *plan.argv[1:]]
    if plan.line_buffered:
        argv = exec_wrappers.line_buffered(argv)
    if plan.die_with_parent:
        argv = exec_wrappers.die_with_parent(argv)
    return exec_wrappers.limited(argv, plan.limits) if plan.limits else argv


def _outputs(plan: SpawnPlan, stack: contextlib.ExitStack) -> tuple[int, int, int | None]:
    """File numbers for stdout and stderr and, with a pseudo-terminal, its reading end."""
    if plan.pty:
        reading, writing = stack.enter_context(pty_log.open_pty())
        return writing, writing, reading
    out = stack.enter_context(_append(plan.stdout))
    err = stack.enter_context(_append(plan.stderr)) if plan.stderr else out
    return out.fileno(), err.fileno(), None


def _append(path: Path) -> IO[bytes]:
    return path.open("ab", buffering=0)


def _popen(plan: SpawnPlan, argv: list[str], out: int, err: int) -> subprocess.Popen[bytes]:
    user = _user(plan)
    try:
        with (
            _default_signals(),
            _no_core_file(plan),
            in_namespace(plan.net),
            _stdin(plan.stdin_open) as stdin,
        ):
            return subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=out,
                stderr=err,
                cwd=plan.cwd,
                env=dict(plan.env),
                start_new_session=True,
                close_fds=True,
                user=user.uid,
                group=user.gid,
                extra_groups=user.groups,
            )
    except PermissionError as error:
        if plan.user:
            raise SpawnError(
                Cause.USER,
                plan.argv[0],
                f"kvsim may not run it as user {plan.user} (it is not root)",
            ) from error
        raise SpawnError(Cause.FORBIDDEN, plan.argv[0], str(error)) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
            path = resolve(plan.argv[0], plan.cwd, plan.env)
            raise SpawnError(Cause.FORMAT, plan.argv[0], explain_format(path)) from error
        # ValueError: a NUL byte in an argument.
        raise SpawnError(Cause.SYSTEM, plan.argv[0], str(error)) from error


@contextlib.contextmanager
def _stdin(stays_open: bool) -> Iterator[int]:
    """The standard input: empty, or a pipe that the process itself has open for writing too.

    Such a pipe does not end before the process, also when kvsim has ended.
    """
    if not stays_open:
        yield subprocess.DEVNULL
        return
    reading, writing = os.pipe()
    both = -1
    try:
        both = os.open(f"/proc/self/fd/{writing}", os.O_RDWR)
        yield both
    finally:
        for fd in {reading, writing, both} - {-1}:
            os.close(fd)


class _User(Struct, frozen=True):
    """The user and groups of a process. All None: those of kvsim."""

    uid: int | None = None
    gid: int | None = None
    groups: list[int] | None = None


def _user(plan: SpawnPlan) -> _User:
    if plan.user is None:
        return _User()
    try:
        entry = pwd.getpwnam(plan.user)
    except KeyError as error:
        raise SpawnError(
            Cause.USER, plan.argv[0], f"this machine has no user {plan.user}"
        ) from error
    groups = os.getgrouplist(plan.user, entry.pw_gid)
    return _User(entry.pw_uid, entry.pw_gid, groups)


@contextlib.contextmanager
def _default_signals() -> Iterator[None]:
    """Have the process start with the default action of all signals.

    A signal that kvsim ignores (when it was started with `&` or nohup) would be ignored by the
    node too.
    """
    ignored = ignored_signals()
    for number in ignored:
        # Exec resets a handled signal to the default action, but keeps an ignored one ignored.
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _no_core_file(plan: SpawnPlan) -> Iterator[None]:
    """Set the soft limit, which the process inherits; a wrapper would cost another exec."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if "core" not in plan.limits:
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _first_bytes(path: Path, start: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(FIRST_BYTES).decode("utf-8", "backslashreplace")
    except OSError:
        return ""
