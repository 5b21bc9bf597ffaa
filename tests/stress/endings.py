"""Ends kvsim with a signal at a moment of its work, and looks for what it left behind.

A moment is a number of events: lines in the journals of its runs, and files and folders that it has
made. The process that looks is the subreaper of everything below it, so that no process can hide.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.folders import find_paths
from kvsim.process import procfs
from kvsim.process.child import reap_adopted
from kvsim.process.process_tree import Snapshot
from kvsim.waiting import Deadline, TimedOut, wait_until
from tests.leftovers import can_listen

# Each signal that ends a program by default, and the second Ctrl-C of an impatient user.
SIGNALS = ("INT", "TERM", "HUP", "QUIT", "KILL", "ABRT", "ALRM", "USR1", "INT INT", "TERM TERM")
KVSIM = (sys.executable, "-m", "kvsim")
JOURNAL = "history.jsonl"
# What exists only while kvsim works.
TEMPORARY = re.compile(
    r"data|preload|control|links|core|core\.\d+|\.trial-.*|\.workers|\.building-.*|.*\.kvsim-new|\.kvsim"
)
ENDS_WITHIN_S, GONE_WITHIN_S = 90.0, 30.0
POLL_S = 0.004
# An interrupted second signal comes while the first one is being handled.
SECOND_AFTER_EVENTS = 1


@dataclass(frozen=True)
class Work:
    """A command, its folder, and what is done before and after it.

    `before` and `after` are commands of kvsim; `after` cleans up what is meant to stay.
    """

    name: str
    words: Sequence[str]
    folder: Path
    before: Sequence[Sequence[str]] = ()
    after: Sequence[Sequence[str]] = ()
    ports: Sequence[int] = ()
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def start(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        self.temporary.mkdir(exist_ok=True)
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [*KVSIM, *words],
                cwd=self.folder / "project",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.temporary), **self.variables},
            )

    def call(self, words: Sequence[str]) -> int:
        return self.start(words).wait(ENDS_WITHIN_S)


class EventCounter:
    """Counts what happens in a folder from now on: lines of journals, files made and removed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._state = dict(_sizes(folder))

    def count(self) -> int:
        state = dict(_sizes(self._folder))
        self._count += len(state.keys() ^ self._state.keys())
        self._count += sum(
            max(0, lines - self._state.get(path, 0)) for path, lines in state.items()
        )
        self._state = state
        return self._count


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Every path below the folder, and how many lines it has when it is a journal."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        lines = 0
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(Path(entry.path))
        elif entry.name == JOURNAL:
            with contextlib.suppress(OSError):
                lines = Path(entry.path).read_bytes().count(b"\n")
        yield entry.path, lines


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Whether the process ends within this time."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def count_events(work: Work) -> int:
    """How many events the whole work has, without a signal."""
    for words in work.before:
        work.call(words)
    counter = EventCounter(work.folder)
    process = work.start(work.words)
    while not _ended(process, POLL_S):
        counter.count()
    for words in work.after:
        work.call(words)
    return counter.count()


def end_at(work: Work, event: int, signals: str) -> list[str]:
    """End the work at that event; what is wrong afterwards, one line each."""
    for words in work.before:
        work.call(words)
    counter = EventCounter(work.folder)
    process = work.start(work.words)
    seen = 0
    for name in signals.split():
        while seen < event and not _ended(process, POLL_S):
            seen = counter.count()
        if process.poll() is None:
            process.send_signal(signal.Signals[f"SIG{name}"])
        event = seen + SECOND_AFTER_EVENTS
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return [f"it did not end within {ENDS_WITHIN_S:g} s"]
    for words in work.after:
        if work.call(words) != 0:
            return [f"afterwards `kvsim {' '.join(words)}` failed:\n{_output(work)}"]
    return leftovers(work, process.pid)


def leftovers(work: Work, pid: int) -> list[str]:
    """What the work left behind, after the time that its watchdogs need."""
    found: list[str] = []

    def is_clean() -> bool:
        found[:] = [*_processes(), *_folders(work), *_kernel(work, pid)]
        return not found

    with contextlib.suppress(TimedOut):
        wait_until(is_clean, Deadline.after(GONE_WITHIN_S), "nothing to be left")
    return [*found, *([f"output:\n{_output(work)}"] if found else [])]


def _output(work: Work) -> str:
    return (work.folder / "output").read_text(errors="replace")[-2000:]


def _processes() -> list[str]:
    snapshot = Snapshot()
    below = snapshot.with_descendants([os.getpid()]) - {os.getpid()}
    reap_adopted(pid for pid in below if snapshot.table[pid].ppid == os.getpid())
    return [
        f"process {pid}: {procfs.cmdline(pid)}"
        for pid in below
        if (entry := procfs.stat(pid)) is not None and entry.state not in "ZX"
    ]


def _folders(work: Work) -> list[str]:
    paths = [Path(path).relative_to(work.folder) for path, _ in _sizes(work.folder)]
    return [
        f"file {path}"
        for path in paths
        if TEMPORARY.fullmatch(path.name) or (path.parts[0] == "tmp" and len(path.parts) > 1)
    ]


def _kernel(work: Work, pid: int) -> list[str]:
    """Mounts, network namespaces, control groups and ports."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    names = find_paths(Path("/run/netns"), "*kvsim*")
    groups = find_paths(Path("/sys/fs/cgroup"), f"**/kvsim-*-{pid}-*")
    return [
        *(f"mount {line}" for line in mounts if str(work.folder) in line),
        *(f"network namespace {path}" for path in names),
        *(f"control group {path}" for path in groups),
        *(f"port {port}" for port in work.ports if not _is_free(port)),
    ]


def _is_free(port: int) -> bool:
    return can_listen("127.0.0.1", port)
