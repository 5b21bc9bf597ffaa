"""Where things of one run stand. Makes folders and names files; knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvsim.errors import RunInvalid, UsageError

META, JOURNAL, PROOF_TEXT, PROOF_JSON, JUNIT = (
    "meta.json",
    "history.jsonl",
    "proof.txt",
    "proof.json",
    "junit.xml",
)


class RunDir:
    """One run's folder. Files inside are named here and nowhere else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = path / META
        self.journal = path / JOURNAL
        self.proof_text = path / PROOF_TEXT
        self.proof_json = path / PROOF_JSON
        self.scenario = path / "scenario.yaml"
        self.replay = path / "replay.yaml"  # the scenario with its storms written out
        self.cluster = path / "cluster.yaml"
        self.film = path / "report.html"
        self.trace = path / "trace.json"
        self.broken_off = path / "broken-off.txt"  # why kvsim itself ended the run: a line, and its traceback

    def load(self, name: str) -> Path:
        """What one load recorded, in binary."""
        return self.path / "loads" / f"{name}.history"

    @property
    def loads(self) -> list[Path]:
        """What every load recorded, by name."""
        return sorted(self.path.glob("loads/*.history"))

    def node(self, name: str) -> Path:
        return self.path / "nodes" / name

    def log(self, node: str, incarnation: int) -> Path:
        """The log of a node's n-th start."""
        return self.node(node) / f"{incarnation}.log"

    def data(self, node: str) -> Path:
        return self.node(node) / "data"

    @property
    def control(self) -> Path:
        """What nodes are broken from inside with; there only while they run."""
        return self.path / "control"

    def write_meta(self, meta: Mapping[str, Any]) -> None:
        write_whole(self.meta, json.dumps(meta, indent=2, ensure_ascii=False) + "\n")

    def remove_data(self) -> None:
        """Remove the data directories, which kvsim made; the rest of the run stays."""
        for data in self.path.glob("nodes/*/data"):
            shutil.rmtree(data, ignore_errors=True)


def new_run(parent: Path, name: str) -> RunDir:
    """Make a fresh folder `parent/TIME-name` and point `parent/latest` to it. Raises UsageError when it cannot."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        run = RunDir(_claim(parent, f"{stamp}-{name}"))
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
    link.replace(parent / "latest")


def find_run(reference: Path) -> RunDir:
    """The run that a path names: a run directory, or a file inside one. Raises UsageError."""
    path = reference if reference.is_dir() else reference.parent
    if not reference.exists():
        raise UsageError(
            f"{reference}: no such run; runs stand in runs/ beside the cluster file, the newest as runs/latest"
        )
    if not (path / META).is_file():
        raise UsageError(f"{reference}: not a run directory (it has no {META})")
    return RunDir(path.resolve())


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none. Raises RunInvalid when the disk does not take it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise RunInvalid(f"the run could not be recorded in {path}: {error.strerror}") from error
