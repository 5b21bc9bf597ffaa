"""Where a submission's commands run: the strongest isolation that this system gives.

Chooses it and writes the settings; `sandbox_init.py` makes the sandbox.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from kvsim.config.plan import ResourceLimits
from kvsim.grading.cgroups import ControlGroup, ControlGroups
from kvsim.grading.known_stores import SIGNATURES
from kvsim.process.exec_wrappers import limited, tool

SANDBOX_INIT = Path(__file__).with_name("sandbox_init.py")
# The folder of one submission, as its sandbox shows it.
HOME = "/tmp/grade"
# Each submission has its own user, by number; no account has these numbers.
UID_FIRST = 2_000_000
# For kvsim's record of a run, beside what the submission may write.
RECORD_BYTES = 128 << 20
TAKE_DATA_DIR = 'cd "$0" && chown -h "{uid}" .{files} || exit 78; '
# A command that cannot enter its control group must not run: it would run without limits.
ENTER_GROUP = f'for g in {HOME}/group/*; do echo 0 >"$g/cgroup.procs" || exit 78; done; '
EXEC = 'exec "$@"'
BUILD = "build"
# For kvsim to end a run in order.
END_GRACE_S = 10.0
RUNS = "runs"
# Folders can be entered and not listed, files not read: scenarios, seeds and proofs are beside the
# data directories.
UMASK = 0o066
COVERED_FOLDERS = ("/tmp/", "/var/tmp/", "/dev/shm/")


class Isolation(StrEnum):
    """How a submission is isolated, the strongest first."""

    USERS = "own user, processes, files and network"
    NAMESPACES = "own processes, files and network, but not its own user: it could forge its record"
    NONE = "limits only: it can read and change everything that you can"


def best_isolation() -> Isolation:
    """The strongest isolation that this system gives, found by trying."""
    if tool("setpriv") is None:
        return Isolation.NONE
    settings = {
        "isolated": True,
        "bind": {},
        "tmpfs": {},
        "hide": [],
        "save": {},
        "usage_file": "/dev/null",
        "signatures": {},
        "umask": UMASK,
        "disk_bytes": 1 << 20,
        "cpu": None,
        "growth": None,
    }
    reading, writing = os.pipe()
    os.write(writing, json.dumps(settings).encode())
    os.close(writing)
    try:
        command = [sys.executable, "-I", str(SANDBOX_INIT), f"/dev/fd/{reading}", "/bin/true"]
        done = subprocess.run(command, pass_fds=[reading], capture_output=True)
    finally:
        os.close(reading)
    if done.returncode != 0:
        return Isolation.NONE
    return Isolation.USERS if os.geteuid() == 0 else Isolation.NAMESPACES


def describe_limits(isolation: Isolation, groups: ControlGroups | str) -> str:
    """What is limited, and for which processes. `groups` may be the reason why there are none."""
    if isinstance(groups, ControlGroups):
        return (
            "memory, processes and CPU time of all processes together (control groups, version "
            f"{groups.version.number}); open files and file size of each; disk"
        )
    together = "" if isolation is Isolation.NONE else "processes together; "
    return (
        f"{together}memory, CPU time, open files and file size of each process; disk "
        f"(no control groups: {groups})"
    )


class Sandbox(Struct, frozen=True):
    """The sandbox of one submission. `folder` is its folder outside; `number` counts submissions.

    `hidden`: paths that no submission may read. `files`: files that kvsim writes into data
    directories. Paths without `_outside` are those of the sandbox.
    """

    isolation: Isolation
    folder: Path
    number: int
    limits: ResourceLimits
    plan_outside: Path
    hidden: tuple[Path, ...]
    files: tuple[str, ...] = ()
    groups: ControlGroups | None = None

    @property
    def isolated(self) -> bool:
        return self.isolation is not Isolation.NONE

    @property
    def submission(self) -> str:
        return f"{HOME if self.isolated else self.folder}/submission"

    @property
    def plan(self) -> str:
        return f"{HOME}/plan" if self.isolated else str(self.plan_outside)

    @property
    def out(self) -> Path:
        """Where kvsim makes run directories."""
        return Path(HOME) / "out" if self.isolated else self.folder / RUNS

    @property
    def records(self) -> str:
        """What only kvsim may read: run directories, settings, the program's node.yaml."""
        return f"{HOME}/records" if self.isolated else str(self.folder)

    def run_outside(self, name: str, run: str) -> str:
        """The path outside of a run directory that the trial `name` calls `run`."""
        return str(self.folder / RUNS / name / Path(run).name) if self.isolated else run

    def usage_file_outside(self, name: str) -> Path:
        """Where the first process writes what it observed."""
        return self.folder / f"{name}.usage.json"

    def enter_command(self, name: str, group: ControlGroup | None = None) -> list[str]:
        """The words in front of a command that run it in the sandbox; writes its settings."""
        settings = self.folder / f"{name}.json"
        settings.write_text(json.dumps(self._settings(name, group)), encoding="utf-8")
        return [sys.executable, "-I", str(SANDBOX_INIT), str(settings)]

    def new_group(self, name: str) -> ControlGroup | None:
        """The control group for one command; the caller removes it. Raises OSError."""
        return self.groups.make(f"{self.number}-{name}", self.limits) if self.groups else None

    def exceeded_limits(self, name: str) -> tuple[str, ...]:
        """Which limits the first process found exceeded."""
        try:
            text = self.usage_file_outside(name).read_text(encoding="utf-8")
            return tuple(json.loads(text)["exceeded"])
        except (OSError, ValueError, KeyError):
            return ()

    def _settings(self, name: str, group: ControlGroup | None) -> Mapping[str, object]:
        usage_file = self.usage_file_outside(name)
        not_isolated = {"save": {}, "usage_file": str(usage_file)}
        return {
            "isolated": self.isolated,
            **(self._mounts(name, group) if self.isolated else not_isolated),
            "umask": UMASK if self.isolated else os.umask(os.umask(UMASK)),
            "signatures": SIGNATURES if self.isolated else {},
            "disk_bytes": self.limits.disk_bytes,
            "cpu": _cpu_settings(group, self.limits) if group else None,
            "growth": self._growth(name),
        }

    def _mounts(self, name: str, group: ControlGroup | None) -> Mapping[str, object]:
        return {
            "bind": {
                self.submission: str(self.folder / "submission"),
                self.records: str(self.folder),
                self.plan: str(self.plan_outside),
                **self._covered_tools(),
                **_group_mounts(group),
            },
            "tmpfs": {f"{HOME}/out": self.limits.disk_bytes + RECORD_BYTES},
            "hide": [str(path) for path in self.hidden],
            "save": {f"{HOME}/out": f"{self.records}/{RUNS}/{name}"},
            "usage_file": f"{self.records}/{self.usage_file_outside(name).name}",
        }

    def _growth(self, name: str) -> Mapping[str, object] | None:
        """Folders on the real disk, which has no size limit: for a build, or without a sandbox."""
        if name == BUILD:
            return {
                "folders": [self.submission],
                "bytes_max": self.limits.disk_bytes,
                "grace_s": 0,
            }
        if self.isolated:
            return None
        return {
            "folders": [self.submission, str(self.folder / RUNS)],
            "bytes_max": self.limits.disk_bytes + RECORD_BYTES,
            "grace_s": END_GRACE_S,
        }

    def _covered_tools(self) -> dict[str, str]:
        """kvsim and its Python, if they are in a folder that the sandbox covers."""
        folders = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])}
        return {folder: folder for folder in folders if folder.startswith(COVERED_FOLDERS)}

    def client_prefix(self) -> list[str]:
        """The words in front of a submission's own client."""
        return [*self._shell("x", ""), *self._limited(self._drop_privileges())]

    def node_prefix(self) -> list[str]:
        """The words in front of a node's command: it owns its data directory and starts there."""
        take = ""
        if self.isolation is Isolation.USERS:
            files = "".join(f" {shlex.quote(f'./{name}')}" for name in self.files)
            take = TAKE_DATA_DIR.format(uid=self.uid, files=files)
        return [*self._shell("{data_dir}", take), *self._limited(self._drop_privileges())]

    def _shell(self, zero: str, take: str) -> list[str]:
        """A shell that does what needs privileges, and then becomes the command. `zero`: its $0."""
        script = take + (ENTER_GROUP if self.groups else "")
        return ["/bin/sh", "-c", script + EXEC, zero] if script else []

    @property
    def uid(self) -> int:
        return UID_FIRST + self.number

    def _drop_privileges(self) -> list[str]:
        if not self.isolated:
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
        # A control group limits the memory in use; without one, only the address space can be
        # limited.
        if self.groups:
            return limited(words, limits)
        limits["as"] = self.limits.memory_bytes
        # Without isolation this limit would count the user's other processes.
        if self.isolated:
            limits["nproc"] = self.limits.processes
        return limited(words, limits)


def _group_mounts(group: ControlGroup | None) -> dict[str, str]:
    """Path in the sandbox → folder of the control group outside, each folder once."""
    if group is None:
        return {}
    controllers = {folder: controller for controller, folder in group.folders.items()}
    return {f"{HOME}/group/{name}": str(folder) for folder, name in controllers.items()}


def _cpu_settings(group: ControlGroup, limits: ResourceLimits) -> Mapping[str, object]:
    """Where the first process reads the CPU time of the control group, and its members."""
    counter = group.version.cpu_time
    mounts = {folder: path for path, folder in _group_mounts(group).items()}
    folder = mounts[str(group.folders[counter.controller])]
    return {
        "file": f"{folder}/{counter.file}",
        "key": counter.key,
        "limit": limits.cpu_s * group.version.cpu_units_per_s,
        "members": f"{folder}/cgroup.procs",
    }
