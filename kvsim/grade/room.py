"""Where a submission's commands run: the strongest room that this system gives, and its settings. What it does stands in inside.py."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kvsim.config.plan import Limits
from kvsim.grade.suspects import SIGNATURES
from kvsim.process.wrap import limited, tool

INSIDE = Path(__file__).with_name("inside.py")
HOME = "/tmp/grade"  # how the folder of one submission is called in its room
UID_FIRST = 2_000_000  # users that exist for one submission only, by number
OWN_SPARE_BYTES = 128 << 20  # for kvsim's own record of a run, beside what the submission may write
TAKE_DATA_DIR = 'cd "$0" && chown -h "{uid}" .{files} && exec "$@"'
RUNS = "runs"
UMASK = 0o066  # folders can be passed through and not listed, files not be read: scenarios, seeds and proofs lie beside the data


class Isolation(StrEnum):
    """How far a submission is kept apart, best first."""

    USERS = "own user, processes, files and network"
    NAMESPACES = "own processes, files and network, but not a user of its own: it could forge its record"
    NONE = "limits only: it can see and change whatever you can"


def best_isolation() -> Isolation:
    """What this system gives, found by trying."""
    if tool("setpriv") is None:
        return Isolation.NONE
    settings = json.dumps(
        {
            "bind": {},
            "scratch": {},
            "hide": [],
            "save": {},
            "seen": "/dev/null",
            "signatures": {},
            "umask": UMASK,
            "disk_bytes": 1 << 20,
        }
    )
    reading, writing = os.pipe()
    os.write(writing, settings.encode())
    os.close(writing)
    try:
        words = [sys.executable, "-I", str(INSIDE), f"/dev/fd/{reading}", "/bin/true"]
        tried = subprocess.run(words, pass_fds=[reading], capture_output=True)
    finally:
        os.close(reading)
    if tried.returncode != 0:
        return Isolation.NONE
    return Isolation.USERS if os.geteuid() == 0 else Isolation.NAMESPACES


@dataclass(frozen=True)
class Room:
    """The room of one submission. `folder` is its folder outside; `number` counts submissions; `hidden` is what none may see."""

    isolation: Isolation
    folder: Path
    number: int
    limits: Limits
    plan: Path
    hidden: tuple[Path, ...]
    files: tuple[str, ...] = ()  # that kvsim writes into data directories

    @property
    def home(self) -> str:
        """The submission's folder as its commands see it."""
        return str(self.folder) if self.isolation is Isolation.NONE else HOME

    @property
    def submission(self) -> str:
        return f"{self.home}/submission"

    @property
    def plan_inside(self) -> str:
        return str(self.plan) if self.isolation is Isolation.NONE else f"{HOME}/plan"

    @property
    def out(self) -> Path:
        """Where kvsim makes run directories, as it sees it."""
        return self.folder / RUNS if self.isolation is Isolation.NONE else Path(HOME) / "out"

    @property
    def kept(self) -> str:
        """What only the tester may enter: records, settings, the program's node.yaml."""
        return str(self.folder) if self.isolation is Isolation.NONE else f"{HOME}/kept"

    def run_outside(self, name: str, run: str) -> str:
        """A run directory that the trial `name` calls `run`, as it is called outside."""
        return run if self.isolation is Isolation.NONE else str(self.folder / RUNS / name / Path(run).name)

    def seen(self, name: str) -> Path:
        """Where the room's first process says what ran, outside."""
        return self.folder / f"{name}.seen.json"

    def entrance(self, name: str) -> list[str]:
        """The words before a command that is to run in the room; writes its settings."""
        if self.isolation is Isolation.NONE:
            return []
        settings = self.folder / f"{name}.json"
        settings.write_text(json.dumps(self._settings(name)), encoding="utf-8")
        return [sys.executable, "-I", str(INSIDE), str(settings)]

    def _settings(self, name: str) -> Mapping[str, object]:
        return {
            "bind": {
                self.submission: str(self.folder / "submission"),
                self.kept: str(self.folder),
                self.plan_inside: str(self.plan),
                **self._tools_below_tmp(),
            },
            "umask": UMASK,
            "scratch": {f"{HOME}/out": self.limits.disk_bytes + OWN_SPARE_BYTES},
            "hide": [str(path) for path in self.hidden],
            "save": {f"{HOME}/out": f"{self.kept}/{RUNS}/{name}"},
            "seen": f"{self.kept}/{self.seen(name).name}",
            "signatures": SIGNATURES,
            "disk_bytes": self.limits.disk_bytes,
        }

    def _tools_below_tmp(self) -> dict[str, str]:
        """kvsim itself, and its Python, where they stand in a folder that the room covers."""
        places = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])}
        return {place: place for place in places if place.startswith(("/tmp/", "/var/tmp/", "/dev/shm/"))}

    def before_client(self) -> list[str]:
        """The words before a command that a submission's own client is."""
        return self._limited(self._as_nobody())

    def before_node(self) -> list[str]:
        """The words before a node's command: it owns its data directory, stands in it, and has its limits."""
        if self.isolation is not Isolation.USERS:
            return self._limited(self._as_nobody())
        files = "".join(f" {shlex.quote(f'./{name}')}" for name in self.files)
        take = TAKE_DATA_DIR.format(uid=self.uid, files=files)
        return ["/bin/sh", "-c", take, "{data_dir}", *self._limited(self._as_nobody())]

    @property
    def uid(self) -> int:
        return UID_FIRST + self.number

    def _as_nobody(self) -> list[str]:
        if self.isolation is Isolation.NONE:
            return []
        words = [
            str(tool("setpriv")),
            "--no-new-privs",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--pdeathsig=KILL",
        ]
        if self.isolation is Isolation.USERS:
            words += [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        return [*words, "--"]

    def _limited(self, words: list[str]) -> list[str]:
        limits = {
            "as": self.limits.memory_bytes,
            "cpu": self.limits.cpu_s,
            "nofile": self.limits.files,
            "fsize": self.limits.disk_bytes,
            "core": 0,
        }
        if self.isolation is not Isolation.NONE:  # elsewhere the user's other processes would count
            limits["nproc"] = self.limits.processes
        return limited(words, limits)
