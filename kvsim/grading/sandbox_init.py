"""A sandbox for one command of a submission, and its first process.

Run as a script (`python -I sandbox_init.py SETTINGS.json COMMAND…`), never imported. The sandbox
has its own processes, network (loopback only) and /tmp of limited size; the rest of its file system
is read-only. Linux's namespaces, called through libc. The first process watches what runs in the
sandbox, copies the run directories out when the command has ended, and ends; the kernel then ends
everything that is left.

SETTINGS:
isolated    false: no sandbox, only the watch
bind        path in the sandbox → path outside
tmpfs       folder → size in bytes
hide        paths that are made empty
save        folder in the sandbox → where it is copied at the end
usage_file  where to write what ran and which limits were reached
signatures  name → texts that are found in a known program
umask, disk_bytes
cpu         what the control group has used, and its members; null: not watched
growth      folders, and by how many bytes they may grow; null: not watched
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

CLONE = {"mount": 0x00020000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
WATCH_INTERVAL_S = 0.04
READ_MAX = 64 << 20
# Exit status: the sandbox could not be made, and the command was not started.
NO_SANDBOX = 78

Settings = Mapping[str, Any]

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a function of libc. Raises OSError."""
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(
    source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    encoded = [text and text.encode() for text in (source, target, kind)]
    call("mount", *encoded, ctypes.c_ulong(flags), data.encode() or None)


def unshare_namespaces() -> None:
    """Enter new namespaces; without root as root of a new user namespace. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE["mount"] | CLONE["pid"] | CLONE["net"]
    call("unshare", flags if uid == 0 else flags | CLONE["user"])
    if uid != 0:
        maps = (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"))
        for name, text in maps:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    mount(None, "/", flags=MS_REC | MS_PRIVATE)


def mount_all(settings: Settings) -> None:
    """Mount the sandbox's file systems. Raises OSError.

    Sources of bind mounts are opened before /tmp is covered: they may lie below it.
    """
    opened = {target: os.open(source, os.O_PATH) for target, source in settings["bind"].items()}
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.path.isdir(folder):
            mount_tmpfs(folder, settings["disk_bytes"], 0o1777)
    for target, number in opened.items():
        make_mount_point(target, os.path.isdir(f"/proc/self/fd/{number}"))
        mount(f"/proc/self/fd/{number}", target, flags=MS_BIND | MS_REC)
        os.close(number)
    for folder, size in settings["tmpfs"].items():
        os.makedirs(folder, exist_ok=True)
        mount_tmpfs(folder, size, 0o711)
    for path in settings["hide"]:
        hide(path)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV, "hidepid=2")
    # Inside a user namespace some roots cannot be remounted.
    with contextlib.suppress(OSError):
        mount(None, "/", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def mount_tmpfs(folder: str, size: int, mode: int) -> None:
    mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},mode={mode:o}")


def make_mount_point(target: str, is_folder: bool) -> None:
    os.makedirs(target if is_folder else os.path.dirname(target), exist_ok=True)
    if not is_folder and not os.path.exists(target):
        open(target, "w").close()


def hide(path: str) -> None:
    if os.path.isdir(path):
        mount_tmpfs(path, 4096, 0o700)
    elif os.path.exists(path):
        mount("/dev/null", path, flags=MS_BIND)


def set_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = b"lo"
        answer = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh", name, 0))
        flags = struct.unpack("16sh", answer)[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", name, flags | IFF_UP))


class ProgramWatch:
    """The programs that ran in the sandbox, and the known stores whose signatures they contain."""

    def __init__(self, signatures: Mapping[str, Sequence[str]]) -> None:
        self.signatures = {
            name: [text.encode() for text in texts] for name, texts in signatures.items()
        }
        self.programs: set[tuple[str, str]] = set()
        self.matched: dict[str, str] = {}
        self.files: set[tuple[int, int]] = set()

    def observe(self) -> None:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and entry != "1":
                with contextlib.suppress(OSError):
                    self.observe_process(entry)

    def observe_process(self, pid: str) -> None:
        exe = os.readlink(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            first = file.read(4096).split(b"\0")[0].decode("utf-8", "replace")
        self.programs.add((exe, first))
        stat = os.stat(f"/proc/{pid}/exe")
        if (stat.st_dev, stat.st_ino) not in self.files:
            self.files.add((stat.st_dev, stat.st_ino))
            with open(f"/proc/{pid}/exe", "rb") as file:
                self.match(exe, file.read(READ_MAX))

    def match(self, exe: str, data: bytes) -> None:
        for name, texts in self.signatures.items():
            if any(text in data for text in texts):
                self.matched.setdefault(name, exe)

    def to_json(self) -> dict[str, Any]:
        return {"programs": sorted(self.programs), "matched": self.matched}


class CpuWatch:
    """CPU time of all processes of the submission together.

    Beyond the limit the processes are killed, as the kernel does for one process.
    """

    name = "CPU time of all processes together"

    def __init__(self, cpu: Settings) -> None:
        self.file, self.key = cpu["file"], cpu["key"]
        self.limit, self.members = cpu["limit"], cpu["members"]

    def is_exceeded(self) -> bool:
        with open(self.file) as file:
            rows = [line.split() for line in file]
        used = next(int(row[-1]) for row in rows if row[0] == self.key or not self.key)
        if used <= self.limit:
            return False
        with open(self.members) as file:
            pids = [int(word) for word in file.read().split()]
        for pid in pids:
            # 0 stands for a process that this namespace cannot name.
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return True


class FolderGrowth:
    """How much folders outside of the sandbox's own file systems grow.

    They are measured so rarely that measuring takes a tenth of the time.
    """

    name = "disk"

    def __init__(self, growth: Settings) -> None:
        self.folders, self.bytes_max = growth["folders"], growth["bytes_max"]
        self.grace_s = growth["grace_s"]
        self.size_before, self.next_at = self.size(), 0.0
        self.exceeded_at: float | None = None

    def is_exceeded(self) -> bool:
        started = time.monotonic()
        if started >= self.next_at:
            if self.exceeded_at is None and self.size() - self.size_before > self.bytes_max:
                self.exceeded_at = started
            took_s = time.monotonic() - started
            self.next_at = started + max(WATCH_INTERVAL_S, 10 * took_s)
        return self.exceeded_at is not None

    def size(self) -> int:
        """Bytes on the disk."""
        total = 0
        for top in self.folders:
            for folder, _, files in os.walk(top):
                for name in files:
                    with contextlib.suppress(OSError):
                        total += os.lstat(os.path.join(folder, name)).st_blocks * 512
        return total

    def end(self, command: int) -> None:
        """Once exceeded: ask the command to end, kill it after the grace period."""
        if self.exceeded_at is None:
            return
        late = time.monotonic() - self.exceeded_at >= self.grace_s
        with contextlib.suppress(ProcessLookupError):
            os.kill(command, signal.SIGKILL if late else signal.SIGTERM)


def run_watched(settings: Settings, argv: list[str]) -> tuple[int, dict[str, Any]]:
    """Run the command and watch it until it ends: its exit status and what was observed."""
    command = os.fork()
    if command == 0:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.umask(settings["umask"])
        os.execv(argv[0], argv)
    forward_signals(command)
    programs = ProgramWatch(settings["signatures"])
    cpu = CpuWatch(settings["cpu"]) if settings["cpu"] else None
    growth = FolderGrowth(settings["growth"]) if settings["growth"] else None
    limits = [watch for watch in (cpu, growth) if watch]
    exceeded: set[str] = set()
    status = None
    while status is None:
        status = reap(command)
        if settings["isolated"]:
            programs.observe()
        for limit in limits:
            with contextlib.suppress(OSError, ValueError, StopIteration):
                if limit.is_exceeded():
                    exceeded.add(limit.name)
        if status is None:
            if growth:
                growth.end(command)
            time.sleep(WATCH_INTERVAL_S)
    observed = {**programs.to_json(), "exceeded": sorted(exceeded)}
    return os.waitstatus_to_exitcode(status) % 256, observed


def forward_signals(pid: int) -> None:
    """Forward SIGINT and SIGTERM to that process."""

    def forward(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)


def first_process(settings: Settings, argv: list[str]) -> NoReturn:
    """Mount the file systems, run the command, watch it, save what it left."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        mount_all(settings)
        set_loopback_up()
    except OSError as error:
        print(f"sandbox: it could not be made: {error}", file=sys.stderr, flush=True)
        os._exit(NO_SANDBOX)
    status, observed = run_watched(settings, argv)
    save(settings, observed)
    os._exit(status)


def reap(command: int) -> int | None:
    """The command's wait status once it has ended; orphans of the sandbox are reaped too."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == command:
                found = status
    return found


def save(settings: Settings, observed: Mapping[str, Any]) -> None:
    for source, target in settings["save"].items():
        with contextlib.suppress(OSError, shutil.Error):
            shutil.copytree(
                source,
                target,
                symlinks=True,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("data", "latest"),
            )
    with contextlib.suppress(OSError), open(settings["usage_file"], "w") as file:
        json.dump(observed, file)


def main(settings: Settings, argv: list[str]) -> int:
    """The exit status of the command; NO_SANDBOX when the sandbox could not be made."""
    if not settings["isolated"]:
        status, observed = run_watched(settings, argv)
        save(settings, observed)
        return status
    try:
        unshare_namespaces()
    except OSError as error:
        print(f"sandbox: this system gives no namespaces: {error}", file=sys.stderr)
        return NO_SANDBOX
    child = os.fork()
    if child == 0:
        first_process(settings, argv)
    forward_signals(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256


if __name__ == "__main__":
    with open(sys.argv[1]) as settings_file:
        read_settings = json.load(settings_file)
    sys.exit(main(read_settings, sys.argv[2:]))
