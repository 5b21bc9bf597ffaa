"""Control groups: limits on the sum of a run's processes, where the system gives them (version 2, or version 1's trees).

Finds where groups may be made, makes one, reads what it counted, removes it, and sweeps those of a kvsim that was killed. Who enters
one stands in room.py. Knows files of the kernel; knows nothing of submissions.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kvsim.config.plan import Limits
from kvsim.process import proc
from kvsim.waiting import Deadline, TimedOut, wait_until

PROC = Path("/proc/self")
REMOVE_S = 5.0
# Who made it; the rest is its own.
NAME = re.compile(r"kvsim-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<ticks>\d+)-")
ENTER = 'echo 0 >"$0/cgroup.procs"'
NEEDED = ("memory", "pids", "cpu")


@dataclass(frozen=True)
class Version:
    """One version's files: what is written where, and where it says what happened. A key "" means a file of one number."""

    number: int
    limits: Mapping[tuple[str, str], str]  # (controller, file) → field of `Limits`, or the value itself
    spent: tuple[str, str, str, int]  # controller, file, key, units a second
    killed: tuple[str, str, str]
    refused: tuple[str, str, str] = ("pids", "pids.events", "max")


VERSIONS = {
    2: Version(
        2,
        {
            ("memory", "memory.max"): "memory",
            ("memory", "memory.swap.max"): "0",
            ("pids", "pids.max"): "processes",
        },
        spent=("cpu", "cpu.stat", "usage_usec", 1_000_000),
        killed=("memory", "memory.events", "oom_kill"),
    ),
    1: Version(
        1,
        {
            ("memory", "memory.limit_in_bytes"): "memory",
            ("memory", "memory.memsw.limit_in_bytes"): "memory",
            ("pids", "pids.max"): "processes",
        },
        spent=("cpuacct", "cpuacct.usage", "", 1_000_000_000),
        killed=("memory", "memory.oom_control", "oom_kill"),
    ),
}
OPTIONAL = {"memory.swap.max", "memory.memsw.limit_in_bytes"}  # kernels without swap accounting have none


@dataclass(frozen=True)
class Group:
    """One group: its folders by controller. In version 2 they are all the same one."""

    version: Version
    folders: Mapping[str, Path]

    def reached(self) -> tuple[str, ...]:
        """Which limits were reached, in words."""
        killed, refused = self._read(self.version.killed), self._read(self.version.refused)
        words = [
            f"memory of all processes together (processes ended by the kernel: {killed})" if killed else "",
            f"number of processes (refused by the kernel: {refused})" if refused else "",
        ]
        return tuple(filter(None, words))

    def _read(self, place: tuple[str, str, str]) -> int:
        controller, file, key = place
        try:
            return number_in((self.folders[controller] / file).read_text(), key)
        except (OSError, ValueError):
            return 0

    def remove(self) -> None:
        """End whatever is in it, and remove it. What cannot be removed is left for the next sweep."""
        for folder in set(self.folders.values()):
            _remove(folder)


@dataclass(frozen=True)
class Groups:
    """Where groups can be made: parent folders by controller."""

    version: Version
    parents: Mapping[str, Path]

    def make(self, name: str, limits: Limits) -> Group:
        """A group of that name with these limits. Files in a room are memory: they count as well. Raises OSError."""
        name = f"{_owner()}{name}"
        group = Group(
            self.version, {controller: parent / name for controller, parent in self.parents.items()}
        )
        values = {
            "memory": str(limits.memory_bytes + limits.disk_bytes),
            "processes": str(limits.processes),
        }
        try:
            for folder in set(group.folders.values()):
                folder.mkdir()
            for (controller, file), value in self.version.limits.items():
                _write(group.folders[controller] / file, values.get(value, value))
        except OSError:
            group.remove()
            raise
        return group

    def try_it(self) -> None:
        """Make a group, enter it, remove it. Raises OSError where one of them is not allowed."""
        group = self.make("try", Limits())
        try:
            for folder in set(group.folders.values()):
                tried = subprocess.run(["/bin/sh", "-c", ENTER, folder], capture_output=True)
                if tried.returncode != 0:
                    raise OSError(0, "it cannot be entered", str(folder.parent))
        finally:
            group.remove()

    def sweep(self) -> None:
        """Remove what a kvsim left that was killed."""
        for folder in self.orphans():
            _remove(folder)

    def orphans(self) -> list[Path]:
        """The groups whose maker is dead."""
        found = []
        for parent in set(self.parents.values()):
            with contextlib.suppress(OSError):
                found += [folder for folder in parent.iterdir() if _orphan(folder.name)]
        return found


def find_groups(of: Path = PROC) -> Groups | str:
    """Where this process may make groups, found by trying; otherwise why it cannot, in words."""
    try:
        places = own_folders((of / "mountinfo").read_text(), (of / "cgroup").read_text())
        groups = _second(places[""]) if set(NEEDED) <= _offered(places.get("")) else _first(places)
        groups.try_it()
    except OSError as error:
        return f"{error.strerror}: {error.filename}" if error.filename else str(error)
    return groups


def own_folders(mountinfo: str, cgroup: str) -> dict[str, Path]:
    """This process' own group by controller; "" is version 2. Pure: the texts of /proc/self/mountinfo and /proc/self/cgroup."""
    paths = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            if name in paths and name not in found:
                found[name] = _below(Path(point), root, paths[name])
    return found


def number_in(text: str, key: str) -> int:
    """The number behind `key` in a file of `key number` lines; of a file of one number where the key is empty."""
    if not key:
        return int(text)
    return next((int(line.split()[1]) for line in text.splitlines() if line.split()[:1] == [key]), 0)


def _below(point: Path, root: str, path: str) -> Path:
    """The folder of a group, below a mount that may show a part of the tree only."""
    inside = path.removeprefix(root) if root != "/" and path.startswith(root) else path
    return point / inside.lstrip("/")


def _offered(folder: Path | None) -> set[str]:
    if folder is None:
        return set()
    try:
        return set((folder / "cgroup.controllers").read_text().split())
    except OSError:
        return set()


def _second(own: Path) -> Groups:
    """Version 2: the nearest group, from our own upwards, that may hand the controllers on; a group with processes may not."""
    problem = OSError("no group of version 2 hands its controllers on")
    for parent in (own, *own.parents):
        if not set(NEEDED) <= _offered(parent):
            break
        try:
            control = parent / "cgroup.subtree_control"
            missing = set(NEEDED) - set(control.read_text().split())
            if missing:
                control.write_text(" ".join(f"+{name}" for name in sorted(missing)))
            return Groups(VERSIONS[2], dict.fromkeys(NEEDED, parent))
        except OSError as error:
            problem = OSError(error.errno, error.strerror, str(control))
    raise problem


def _first(places: Mapping[str, Path]) -> Groups:
    """Version 1: below our own group of each tree."""
    wanted = (*NEEDED, "cpuacct")
    missing = [name for name in wanted if name not in places]
    if missing:
        raise OSError(f"this system has no controller {', '.join(missing)}")
    return Groups(VERSIONS[1], {name: places[name] for name in wanted})


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except OSError:
        if path.name not in OPTIONAL:
            raise


def _owner() -> str:
    """The mark of groups that this process makes: pids mean something in one pid namespace only."""
    pid = os.getpid()
    entry = proc.stat(pid)
    return f"kvsim-{_namespace()}-{pid}-{entry.start_ticks if entry else 0}-"


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _orphan(name: str) -> bool:
    """Whether it is a group of ours whose maker is dead."""
    match = NAME.match(name)
    if not match or int(match["namespace"]) != _namespace():
        return False
    entry = proc.stat(int(match["pid"]))
    return entry is None or entry.start_ticks != int(match["ticks"])


def _remove(folder: Path) -> None:
    def gone() -> bool:
        for pid in _members(folder):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    with contextlib.suppress(TimedOut):
        wait_until(gone, Deadline.after(REMOVE_S), f"{folder} to be empty")


def _members(folder: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (pid for pid in map(int, (folder / "cgroup.procs").read_text().split()) if pid)
