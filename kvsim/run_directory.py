"""The folder of a run and the names of its files. Knows nothing of what the files hold."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import stat
import time
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

from kvsim.errors import RunInvalid, UsageError
from kvsim.folders import find_paths
from kvsim.waiting import Deadline, TimedOut, wait_until

# The folder of run directories, in the working directory, for every command.
RUNS = "runs"
LATEST = "latest"
META = "meta.json"
JOURNAL = "history.jsonl"
# The page of a campaign, in its folder.
CAMPAIGN_PAGE = "campaign.html"
PROGRAMS = "programs.json"
PROOF_TEXT = "proof.txt"
PROOF_JSON = "proof.json"
HISTORY = ".history"
# The suffix of a history while its load runs.
GROWING = ".growing"
OWNER_ONLY = 0o700
# A folder that kvsim made and no longer needs.
REMOVED_WITHIN_S = 2.0


class RunDirectory:
    """The folder of a run. Only this class names the files inside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = path / META
        self.journal = path / JOURNAL
        self.proof_text = path / PROOF_TEXT
        self.proof_json = path / PROOF_JSON
        self.scenario = path / "scenario.yaml"
        # The scenario with the steps that its storms drew.
        self.replay = path / "replay.yaml"
        self.cluster = path / "cluster.yaml"
        # What of each node's program decides how its replies are classified.
        self.programs = path / PROGRAMS
        self.timeline = path / "report.html"
        self.trace = path / "trace.json"
        # The error of kvsim that ended the run: a line, and its traceback.
        self.crash_report = path / "crash.txt"

    def load(self, name: str) -> Path:
        """What a load recorded, in binary."""
        return self.path / "loads" / f"{name}{HISTORY}"

    @property
    def loads(self) -> list[Path]:
        """The files of all loads, sorted by name: of a load that was killed, what it recorded."""
        whole = set(find_paths(self.path, f"loads/*{HISTORY}"))
        growing = find_paths(self.path, f"loads/*{HISTORY}{GROWING}")
        cut = {path for path in growing if path.with_suffix("") not in whole}
        return sorted(whole | cut)

    def node(self, name: str) -> Path:
        return self.path / "nodes" / name

    def log(self, node: str, incarnation: int) -> Path:
        """The log of a node's n-th start."""
        return self.node(node) / f"{incarnation}.log"

    def data(self, node: str) -> Path:
        return self.node(node) / "data"

    @property
    def preload(self) -> Path:
        """The library that breaks disks and clocks, and its control files; only during a run."""
        return self.path / "control"

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        write_atomic(self.meta, json.dumps(meta, indent=2, ensure_ascii=False) + "\n")

    def write_programs(self, programs: Mapping[str, Any]) -> None:
        write_atomic(self.programs, json.dumps(programs, indent=1) + "\n")

    def remove_data(self) -> None:
        """Remove the data directories, which kvsim made; the rest of the run stays."""
        for data in find_paths(self.path, "nodes/*/data"):
            remove_folder(data)


def remove_folder(folder: Path) -> None:
    """Remove a folder that kvsim made, with all in it; what cannot be removed stays.

    It is tried again for a while: a process that is dying may still write there, and a store may
    have taken away the right to write.
    """

    def allow(_function: object, path: str, _error: object) -> None:
        for name in (os.path.dirname(path), path):  # noqa: PTH120 (rmtree gives strings)
            with contextlib.suppress(OSError):
                if not os.path.islink(name) and os.path.isdir(name):  # noqa: PTH112, PTH114
                    os.chmod(name, OWNER_ONLY)  # noqa: PTH101

    def is_gone() -> bool:
        shutil.rmtree(folder, onerror=allow)
        return not os.path.lexists(folder)

    with contextlib.suppress(TimedOut):
        wait_until(is_gone, Deadline.after(REMOVED_WITHIN_S), "the folder to be removed")


def load_name(path: Path) -> str:
    """The load of a file of `RunDirectory.loads`."""
    return path.name.removesuffix(GROWING).removesuffix(HISTORY)


def runs_folder(out: Path | None = None) -> Path:
    """The folder of run directories: `out`, by default `runs/` in the working directory."""
    return Path.cwd() / (out or RUNS)


def new_run(parent: Path, name: str) -> RunDirectory:
    """Make a new folder `parent/TIME-name` and point `parent/latest` to it. Raises UsageError."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        run = RunDirectory(_claim(parent, f"{stamp}-{name}"))
        _point_latest(parent, run.path.name)
    except OSError as error:
        raise UsageError(f"cannot make a run directory in {parent}: {error.strerror}") from error
    return run


def _claim(parent: Path, name: str) -> Path:
    for attempt in itertools.count(1):
        path = parent / (name if attempt == 1 else f"{name}-{attempt}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("unreachable")


def _point_latest(parent: Path, name: str) -> None:
    link = parent / f".latest-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(name)
    link.replace(parent / LATEST)


def latest_run() -> Path:
    """The newest run in `runs/` of the working directory. Raises UsageError when there is none."""
    latest = Path(RUNS) / LATEST
    if not latest.is_dir():
        raise UsageError(
            f"there is no run in {Path.cwd() / RUNS} yet: name a run directory, or make a run here "
            "with `kvsim run SCENARIO`"
        )
    return Path(RUNS) / latest.resolve().name


def find_run(reference: Path) -> RunDirectory:
    """The run that a path names: a run directory, or a file inside one. Raises UsageError."""
    path = reference if reference.is_dir() else reference.parent
    if not reference.exists():
        raise UsageError(
            f"{reference}: no such run; runs are in runs/ of the working directory, "
            "the newest as runs/latest"
        )
    if not (path / META).is_file():
        raise UsageError(f"{reference}: not a run directory (it has no {META})")
    return RunDirectory(path.resolve())


def open_file(path: Path) -> BufferedReader:
    """Open a file of a run. Raises UsageError when there is none, or something that is not a file.

    Anybody may have put a pipe there: opening it must not wait for another process.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UsageError(f"{path}: cannot be read: it is not a file")
    return os.fdopen(handle, "rb")


def read_file(path: Path) -> bytes:
    """The content of a file of a run. Raises UsageError as `open_file`, or when reading fails."""
    with open_file(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; it may exist. Raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error


def write_atomic(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing. Raises RunInvalid on errors.

    A byte of a node that is not UTF-8 is a lone surrogate in `text`. It is written as its escape,
    which JSON reads as the same character.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise RunInvalid(f"the run could not be recorded in {path}: {error.strerror}") from error
