"""Control groups: limits on all processes of a run together, where the system has them.

Finds where groups can be made (version 2, or version 1's trees), makes a group, reads its counters,
removes it, and removes those of a kvsim that was killed. `sandbox` makes processes enter a
group.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from kvsim.config.plan import ResourceLimits
from kvsim.launcher.watchdog_guard import WatchdogGuard
from kvsim.process import procfs
from kvsim.process.environment import new_run_tag
from kvsim.waiting import Deadline, TimedOut, wait_until

PROC = Path("/proc/self")
REMOVE_TIMEOUT_S = 5.0
# The process that made a group; the rest of the name is free.
NAME = re.compile(r"kvsim-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<ticks>\d+)-")
ENTER = 'echo 0 >"$0/cgroup.procs"'
CONTROLLERS = ("memory", "pids", "cpu")
# Kernels without swap accounting do not have these files.
OPTIONAL_FILES = {"memory.swap.max", "memory.memsw.limit_in_bytes"}


class Counter(Struct, frozen=True):
    """A number in a file of a controller. `key` "": the file holds one number only."""

    controller: str
    file: str
    key: str


class Version(Struct, frozen=True):
    """The files of one version.

    `limits`: (controller, file) → `memory`, `processes`, or the value itself. `cpu_time` counts
    `cpu_units_per_s`. `killed`: processes that the kernel ended for lack of memory. `refused`:
    processes that it did not start.
    """

    number: int
    limits: Mapping[tuple[str, str], str]
    cpu_time: Counter
    cpu_units_per_s: int
    killed: Counter
    refused: Counter = Counter("pids", "pids.events", "max")


VERSION_2 = Version(
    2,
    {
        ("memory", "memory.max"): "memory",
        ("memory", "memory.swap.max"): "0",
        ("pids", "pids.max"): "processes",
    },
    cpu_time=Counter("cpu", "cpu.stat", "usage_usec"),
    cpu_units_per_s=1_000_000,
    killed=Counter("memory", "memory.events", "oom_kill"),
)
VERSION_1 = Version(
    1,
    {
        ("memory", "memory.limit_in_bytes"): "memory",
        ("memory", "memory.memsw.limit_in_bytes"): "memory",
        ("pids", "pids.max"): "processes",
    },
    cpu_time=Counter("cpuacct", "cpuacct.usage", ""),
    cpu_units_per_s=1_000_000_000,
    killed=Counter("memory", "memory.oom_control", "oom_kill"),
)


class ControlGroup(Struct, frozen=True):
    """One group: its folders by controller. In version 2 they are all the same folder."""

    version: Version
    folders: Mapping[str, Path]

    def exceeded_limits(self) -> tuple[str, ...]:
        """Which limits were exceeded, for messages."""
        killed, refused = self._read(self.version.killed), self._read(self.version.refused)
        memory = f"memory of all processes together (processes ended by the kernel: {killed})"
        processes = f"number of processes (refused by the kernel: {refused})"
        return (*((memory,) if killed else ()), *((processes,) if refused else ()))

    def _read(self, counter: Counter) -> int:
        try:
            text = (self.folders[counter.controller] / counter.file).read_text()
            return number_in(text, counter.key)
        except (OSError, ValueError):
            return 0

    def remove(self) -> None:
        """End its processes and remove it.

        A group that cannot be removed is left for the next `ControlGroups.remove_orphans`.
        """
        for folder in set(self.folders.values()):
            _remove(folder)


class ControlGroups(Struct, frozen=True):
    """Where groups can be made: parent folders by controller."""

    version: Version
    parents: Mapping[str, Path]

    def make(self, name: str, limits: ResourceLimits) -> ControlGroup:
        """A new group with these limits. Raises OSError.

        Files in a sandbox are kept in memory, and count as memory.
        """
        name = f"{_name_prefix()}{name}"
        folders = {controller: parent / name for controller, parent in self.parents.items()}
        group = ControlGroup(self.version, folders)
        values = {
            "memory": str(limits.memory_bytes + limits.disk_bytes),
            "processes": str(limits.processes),
        }
        try:
            for folder in set(folders.values()):
                folder.mkdir()
            for (controller, file), value in self.version.limits.items():
                _write(folders[controller] / file, values.get(value, value))
        except OSError:
            group.remove()
            raise
        return group

    def probe(self) -> None:
        """Make a group, enter it, remove it. Raises OSError where one of them is not allowed."""
        with self.guarded():
            self._probe()

    def guarded(self) -> contextlib.AbstractContextManager[object]:
        """While inside, the groups of this process are removed if it is killed."""
        prefixes = {str(parent / _name_prefix()) for parent in self.parents.values()}
        return WatchdogGuard(new_run_tag(), [], control_groups=prefixes)

    def _probe(self) -> None:
        group = self.make("probe", ResourceLimits())
        try:
            for folder in set(group.folders.values()):
                done = subprocess.run(["/bin/sh", "-c", ENTER, folder], capture_output=True)
                if done.returncode != 0:
                    raise OSError(0, "it cannot be entered", str(folder.parent))
        finally:
            group.remove()

    def remove_orphans(self) -> None:
        """Remove the groups of a kvsim that was killed."""
        for folder in self.orphans():
            _remove(folder)

    def orphans(self) -> list[Path]:
        """The groups whose maker is dead."""
        found: list[Path] = []
        for parent in set(self.parents.values()):
            with contextlib.suppress(OSError):
                found += [folder for folder in parent.iterdir() if _is_orphan(folder.name)]
        return found


def find_groups(proc: Path = PROC) -> ControlGroups | str:
    """Where this process can make groups, found by trying; otherwise the reason why it cannot."""
    try:
        folders = own_folders((proc / "mountinfo").read_text(), (proc / "cgroup").read_text())
        own = folders.get("")
        if own is not None and set(CONTROLLERS) <= _controllers_of(own):
            groups = _find_version_2(own)
        else:
            groups = _find_version_1(folders)
        groups.probe()
    except OSError as error:
        return f"{error.strerror}: {error.filename}" if error.filename else str(error)
    return groups


def own_folders(mountinfo: str, cgroup: str) -> dict[str, Path]:
    """This process's own group by controller; "" is version 2.

    The arguments are the texts of /proc/self/mountinfo and /proc/self/cgroup.
    """
    paths: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    folders: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            if name in paths and name not in folders:
                folders[name] = _below(Path(point), root, paths[name])
    return folders


def number_in(text: str, key: str) -> int:
    """The number after `key` in a file of `key number` lines, 0 without it.

    With an empty key the whole file is one number.
    """
    if not key:
        return int(text)
    return next(
        (int(line.split()[1]) for line in text.splitlines() if line.split()[:1] == [key]), 0
    )


def _below(point: Path, root: str, path: str) -> Path:
    """The folder of a group below a mount point, which may show a part of the tree only."""
    inside = path.removeprefix(root) if root != "/" and path.startswith(root) else path
    return point / inside.lstrip("/")


def _controllers_of(folder: Path) -> set[str]:
    try:
        return set((folder / "cgroup.controllers").read_text().split())
    except OSError:
        return set()


def _find_version_2(own: Path) -> ControlGroups:
    """The nearest group, from our own upwards, that can pass the controllers on to its children.

    A group that has processes cannot.
    """
    problem = OSError("no group of version 2 passes its controllers on")
    for parent in (own, *own.parents):
        if not set(CONTROLLERS) <= _controllers_of(parent):
            break
        control = parent / "cgroup.subtree_control"
        try:
            missing = set(CONTROLLERS) - set(control.read_text().split())
            if missing:
                control.write_text(" ".join(f"+{name}" for name in sorted(missing)))
            return ControlGroups(VERSION_2, dict.fromkeys(CONTROLLERS, parent))
        except OSError as error:
            problem = OSError(error.errno, error.strerror, str(control))
    raise problem


def _find_version_1(folders: Mapping[str, Path]) -> ControlGroups:
    """Below our own group of each tree."""
    controllers = (*CONTROLLERS, "cpuacct")
    missing = [name for name in controllers if name not in folders]
    if missing:
        raise OSError(f"this system has no controller {', '.join(missing)}")
    return ControlGroups(VERSION_1, {name: folders[name] for name in controllers})


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except OSError:
        if path.name not in OPTIONAL_FILES:
            raise


def _name_prefix() -> str:
    """The prefix of groups that this process makes.

    It has the pid namespace, because a pid identifies a process in one namespace only.
    """
    pid = os.getpid()
    entry = procfs.stat(pid)
    return f"kvsim-{_pid_namespace()}-{pid}-{entry.start_ticks if entry else 0}-"


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _is_orphan(name: str) -> bool:
    """Whether the process that made this group is dead."""
    match = NAME.match(name)
    if not match or int(match["namespace"]) != _pid_namespace():
        return False
    entry = procfs.stat(int(match["pid"]))
    return entry is None or entry.start_ticks != int(match["ticks"])


def _remove(folder: Path) -> None:
    def is_gone() -> bool:
        for pid in _members(folder):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    with contextlib.suppress(TimedOut):
        wait_until(is_gone, Deadline.after(REMOVE_TIMEOUT_S), f"{folder} to be empty")


def _members(folder: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (pid for pid in map(int, (folder / "cgroup.procs").read_text().split()) if pid)
