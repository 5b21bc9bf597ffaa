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
from kvsim.grade.groups import Group, Groups
from kvsim.grade.suspects import SIGNATURES
from kvsim.process.wrap import limited, tool

INSIDE = Path(__file__).with_name("inside.py")
HOME = "/tmp/grade"  # how the folder of one submission is called in its room
UID_FIRST = 2_000_000  # users that exist for one submission only, by number
OWN_SPARE_BYTES = 128 << 20  # for kvsim's own record of a run, beside what the submission may write
TAKE_DATA_DIR = 'cd "$0" && chown -h "{uid}" .{files} || exit 78; '
# Never without its limits.
ENTER_GROUP = f'for g in {HOME}/group/*; do echo 0 >"$g/cgroup.procs" || exit 78; done; '
THEN = 'exec "$@"'
BUILD = "build"
END_GRACE_S = 10.0  # for kvsim itself to end a run in order
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
            "apart": True,
            "bind": {},
            "scratch": {},
            "hide": [],
            "save": {},
            "seen": "/dev/null",
            "signatures": {},
            "umask": UMASK,
            "disk_bytes": 1 << 20,
            "cpu": None,
            "growth": None,
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


def limits_in_force(isolation: Isolation, groups: Groups | str) -> str:
    """What is limited, and over what, in one line. `groups` may be why there are none."""
    if isinstance(groups, Groups):
        return (
            "memory, processes and CPU time of all processes together "
            f"(control groups, version {groups.version.number}); open files and file size of each; disk"
        )
    together = "" if isolation is Isolation.NONE else "processes together; "
    return f"{together}memory, CPU time, open files and file size of each process; disk (no control groups: {groups})"


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
    groups: Groups | None = None

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

    def entrance(self, name: str, group: Group | None = None) -> list[str]:
        """The words before a command that is to run in the room; writes its settings."""
        settings = self.folder / f"{name}.json"
        settings.write_text(json.dumps(self._settings(name, group)), encoding="utf-8")
        return [sys.executable, "-I", str(INSIDE), str(settings)]

    def new_group(self, name: str) -> Group | None:
        """The control group for one command of this room, to be removed afterwards. Raises OSError."""
        return self.groups.make(f"{self.number}-{name}", self.limits) if self.groups else None

    def reached(self, name: str) -> tuple[str, ...]:
        """Which limits the room's first process saw reached."""
        try:
            return tuple(json.loads(self.seen(name).read_text(encoding="utf-8"))["reached"])
        except (OSError, ValueError, KeyError):
            return ()

    def _settings(self, name: str, group: Group | None) -> Mapping[str, object]:
        apart = self.isolation is not Isolation.NONE
        return {
            "apart": apart,
            **(self._furniture(name, group) if apart else {"save": {}, "seen": str(self.seen(name))}),
            "umask": UMASK if apart else os.umask(os.umask(UMASK)),
            "signatures": SIGNATURES if apart else {},
            "disk_bytes": self.limits.disk_bytes,
            "cpu": _spending(group, self.limits) if group else None,
            "growth": self._growth(name),
        }

    def _furniture(self, name: str, group: Group | None) -> Mapping[str, object]:
        return {
            "bind": {
                self.submission: str(self.folder / "submission"),
                self.kept: str(self.folder),
                self.plan_inside: str(self.plan),
                **self._tools_below_tmp(),
                **_groups_inside(group),
            },
            "scratch": {f"{HOME}/out": self.limits.disk_bytes + OWN_SPARE_BYTES},
            "hide": [str(path) for path in self.hidden],
            "save": {f"{HOME}/out": f"{self.kept}/{RUNS}/{name}"},
            "seen": f"{self.kept}/{self.seen(name).name}",
        }

    def _growth(self, name: str) -> Mapping[str, object] | None:
        """What is written to the real disk, and so has to be measured: a build, and everything where there are no rooms."""
        if name == BUILD:
            return {"folders": [self.submission], "more": self.limits.disk_bytes, "grace_s": 0}
        if self.isolation is Isolation.NONE:
            folders = [self.submission, str(self.folder / RUNS)]
            more = self.limits.disk_bytes + OWN_SPARE_BYTES
            return {"folders": folders, "more": more, "grace_s": END_GRACE_S}
        return None

    def _tools_below_tmp(self) -> dict[str, str]:
        """kvsim itself, and its Python, where they stand in a folder that the room covers."""
        places = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])}
        return {place: place for place in places if place.startswith(("/tmp/", "/var/tmp/", "/dev/shm/"))}

    def before_client(self) -> list[str]:
        """The words before a command that a submission's own client is."""
        return [*self._first("x", ""), *self._limited(self._as_nobody())]

    def before_node(self) -> list[str]:
        """The words before a node's command: it owns its data directory, stands in it, and has its limits."""
        take = ""
        if self.isolation is Isolation.USERS:
            files = "".join(f" {shlex.quote(f'./{name}')}" for name in self.files)
            take = TAKE_DATA_DIR.format(uid=self.uid, files=files)
        return [*self._first("{data_dir}", take), *self._limited(self._as_nobody())]

    def _first(self, zero: str, take: str) -> list[str]:
        """A shell that does what needs more rights than the command will have, and becomes it."""
        text = take + (ENTER_GROUP if self.groups else "")
        return ["/bin/sh", "-c", text + THEN, zero] if text else []

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
            "cpu": self.limits.cpu_s,
            "nofile": self.limits.files,
            "fsize": self.limits.disk_bytes,
            "core": 0,
        }
        if self.groups:  # they limit the memory that is used, not the addresses that are taken
            return limited(words, limits)
        limits["as"] = self.limits.memory_bytes
        if self.isolation is not Isolation.NONE:  # elsewhere the user's other processes would count
            limits["nproc"] = self.limits.processes
        return limited(words, limits)


def _groups_inside(group: Group | None) -> dict[str, str]:
    """Where a room shows its group's folders: name inside → folder outside, each folder once."""
    folders = {folder: controller for controller, folder in group.folders.items()} if group else {}
    return {f"{HOME}/group/{controller}": str(folder) for folder, controller in folders.items()}


def _spending(group: Group, limits: Limits) -> Mapping[str, object]:
    """For the room's first process: where the group says what it spent, and who is in it."""
    controller, file, key, per_second = group.version.spent
    inside = {folder: name for name, folder in _groups_inside(group).items()}[str(group.folders[controller])]
    return {
        "file": f"{inside}/{file}",
        "key": key,
        "limit": limits.cpu_s * per_second,
        "members": f"{inside}/cgroup.procs",
    }
