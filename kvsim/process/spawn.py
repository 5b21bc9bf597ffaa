"""Starts one process in its own session, output to files, dying with kvsim where asked.

Does not wait until it is ready.

Only from the main thread: the parent-death signal fires when the *thread* that spawned ends, not when the
process does. Never with preexec_fn, which may deadlock in a process with threads.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kvsim.errors import KvsimError
from kvsim.process import terminal, wrap
from kvsim.process.child import Child, Ended, take_over
from kvsim.process.executable import Cause, SpawnError, resolve
from kvsim.process.netns import inside

RESET_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)


@dataclass(frozen=True)
class Plan:
    """Everything needed to start one process. `stderr` None means: into the same file as stdout."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    stdout: Path
    stderr: Path | None = None
    die_with_parent: bool = True
    user: str | None = None
    limits: Mapping[str, int] = field(
        default_factory=dict
    )  # as of prlimit(1); no core file unless `core` is given
    line_buffered: bool = False
    pty: bool = False  # output through a pseudo-terminal: unbuffered logs from any program; needs stderr None
    net: int | None = None  # a handle on the network namespace it is to live in; None: kvsim's own

    @property
    def error_log(self) -> Path:
        return self.stderr or self.stdout


def spawn(plan: Plan) -> Child:
    """Start it and return at once. Output is appended to the plan's files.

    Raises SpawnError: one clear sentence.
    """
    if threading.current_thread() is not threading.main_thread():
        raise KvsimError(
            "processes are started from the main thread only (the kernel would kill them with the thread)"
        )
    _check_place(plan)
    argv = _command(plan)
    error_from = _size(plan.error_log)
    with contextlib.ExitStack() as stack:
        out, err, reading = _outputs(plan, stack)
        popen = _popen(plan, argv, out, err)
        drain = None if reading is None else terminal.drain(reading, plan.stdout)
    return take_over(popen, plan.argv, plan.stdout, plan.stderr, stderr_from=error_from, drain=drain)


def explain_early_end(plan: Plan, ended: Ended, error_from: int = 0) -> SpawnError | None:
    """The SpawnError behind a process that was over at once with status 126 or 127, or None when it was not
    that.

    Behind a wrapper the loader's and the system's errors show only as a status and a line in the error log.
    """
    if ended.status not in (126, 127):
        return None
    said = _first_bytes(plan.error_log, error_from)
    for needle, cause, why in EARLY:
        line = next((line for line in said.splitlines() if needle in line), None)
        if line is not None:
            return SpawnError(cause, plan.argv[0], f"{why}: {line.strip()}")
    return None


EARLY = (
    ("error while loading shared libraries", Cause.LIBRARY, "a shared library is missing"),
    ("not found (required by", Cause.LIBRARY, "a shared library is too old"),
    ("Error relocating", Cause.LIBRARY, "a shared library does not fit"),
    ("Error loading shared library", Cause.LIBRARY, "a shared library is missing"),
    ("Permission denied", Cause.FORBIDDEN, "the system refused"),
    ("Exec format error", Cause.FORMAT, "the system cannot run this format"),
    ("No such file or directory", Cause.MISSING, "something it needs is not there"),
)


def _check_place(plan: Plan) -> None:
    if not plan.cwd.is_dir():
        raise SpawnError(
            Cause.WORKDIR,
            plan.argv[0] if plan.argv else "''",
            f"the working directory {plan.cwd} is not there",
        )
    if plan.pty and plan.stderr is not None:
        raise SpawnError(
            Cause.SYSTEM, plan.argv[0], "a pseudo-terminal has one stream: stdout and stderr share a file"
        )


def _command(plan: Plan) -> list[str]:
    """The resolved program, wrapped from the inside out; every wrapper execs the next."""
    argv = [str(resolve(plan.argv[0] if plan.argv else "", plan.cwd, plan.env)), *plan.argv[1:]]
    if plan.line_buffered:
        argv = wrap.line_buffered(argv)
    if plan.die_with_parent:
        argv = wrap.die_with_parent(argv)
    return wrap.limited(argv, plan.limits) if plan.limits else argv


def _outputs(plan: Plan, stack: contextlib.ExitStack) -> tuple[int, int, int | None]:
    """File numbers for stdout and stderr and, with a pseudo-terminal, its reading end."""
    if plan.pty:
        reading, writing = stack.enter_context(terminal.opened())
        return writing, writing, reading
    out = stack.enter_context(_append(plan.stdout))
    err = stack.enter_context(_append(plan.stderr)) if plan.stderr else out
    return out.fileno(), err.fileno(), None


def _append(path: Path) -> IO[bytes]:
    return path.open("ab", buffering=0)


def _popen(plan: Plan, argv: list[str], out: int, err: int) -> subprocess.Popen[bytes]:
    try:
        with _default_signals(), _no_core_file(plan), inside(plan.net):
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=plan.cwd,
                env=dict(plan.env),
                start_new_session=True,
                close_fds=True,
                **_as_user(plan),
            )
    except PermissionError as error:
        if plan.user:
            raise SpawnError(
                Cause.USER, plan.argv[0], f"kvsim may not run it as user {plan.user} (it is not root)"
            ) from error
        raise SpawnError(Cause.FORBIDDEN, plan.argv[0], str(error)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in an argument
        raise SpawnError(Cause.SYSTEM, plan.argv[0], str(error)) from error


def _as_user(plan: Plan) -> dict[str, object]:
    if plan.user is None:
        return {}
    try:
        entry = pwd.getpwnam(plan.user)
    except KeyError as error:
        raise SpawnError(Cause.USER, plan.argv[0], f"this machine has no user {plan.user}") from error
    groups = os.getgrouplist(plan.user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


@contextlib.contextmanager
def _default_signals() -> Iterator[None]:
    """A signal that kvsim ignores (started with `&` or nohup) would be ignored by the node too, for ever."""
    ignored = [number for number in RESET_SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)  # exec makes a handled signal the default, not an ignored one
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _no_core_file(plan: Plan) -> Iterator[None]:
    """The soft limit is inherited; a wrapper of its own would cost another exec."""
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
            return file.read(8192).decode("utf-8", "backslashreplace")
    except OSError:
        return ""
