"""The few files of /proc that kvsim reads, as values.

Reads only; a process that is gone is None or empty, never an error.
"""

from __future__ import annotations

import os
import stat as stat_module
import time
from functools import cache
from pathlib import Path

from msgspec import Struct

# A flag of kernel threads, which have neither environment nor command line (linux/sched.h).
PF_KTHREAD = 0x00200000
READ_BYTES = 1 << 16
EXEC_READS, EXEC_READ_PAUSE_S = 20, 0.0005
GONE = (FileNotFoundError, ProcessLookupError)


class Stat(Struct, frozen=True):
    """One line of /proc/<pid>/stat.

    `start_ticks` counts clock ticks since boot, `cpu_ticks` those that the process has used.
    `state` is one letter (R, S, D, T, Z, …).
    """

    pid: int
    comm: str
    state: str
    ppid: int
    pgid: int
    session: int
    start_ticks: int
    cpu_ticks: int = 0
    kernel_thread: bool = False


def parse_stat(line: bytes) -> Stat:
    """Read a stat line.

    The name is in brackets and may itself contain brackets and spaces: the last `)` ends it.
    """
    head, _, tail = line.rpartition(b")")
    pid, _, comm = head.partition(b"(")
    fields = tail.split()
    return Stat(
        pid=int(pid),
        comm=comm.decode("utf-8", "backslashreplace"),
        state=fields[0].decode("ascii"),
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        kernel_thread=bool(int(fields[6]) & PF_KTHREAD),
    )


def stat(pid: int) -> Stat | None:
    line = _read(f"/proc/{pid}/stat")
    return parse_stat(line) if line else None


def table() -> dict[int, Stat]:
    """Every process of this machine (of this pid namespace) at about this moment."""
    names = os.listdir("/proc")  # noqa: PTH208 (hot path)
    found = (stat(int(name)) for name in names if name.isdigit())
    return {entry.pid: entry for entry in found if entry}


def descendants(pid: int) -> dict[int, Stat] | None:
    """A process and all that descend from it, at about this moment.

    None where the kernel lists no children. One may be missing while another one ends (proc(5)).
    """
    found: dict[int, Stat] = {}
    waiting = [pid]
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return None
    while waiting:
        entry = stat(waiting.pop())
        if entry is not None and entry.pid not in found:
            found[entry.pid] = entry
            waiting += _children(entry.pid)
    return found


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (hot path)
    except GONE:
        return []
    lists = (_read(f"/proc/{pid}/task/{thread}/children") for thread in threads)
    return [int(child) for text in lists for child in text.split()]


def thread_states(pid: int) -> list[str]:
    """The state letter of every thread; empty when the process is gone."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (hot path)
    except GONE:
        return []
    lines = (_read(f"/proc/{pid}/task/{thread}/stat") for thread in threads)
    return [parse_stat(line).state for line in lines if line]


def thread_times(pid: int) -> dict[int, tuple[int, int, str]]:
    """Thread → nanoseconds on a CPU, nanoseconds waiting for one, and its state letter.

    Empty when the process is gone. Zeros where the kernel does not count.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (hot path)
    except (*GONE, PermissionError):
        return {}
    found = {}
    for thread in threads:
        line = _read(f"/proc/{pid}/task/{thread}/stat")
        times = _read(f"/proc/{pid}/task/{thread}/schedstat").split() or [b"0", b"0"]
        if line:
            found[int(thread)] = (int(times[0]), int(times[1]), parse_stat(line).state)
    return found


def environ(pid: int, containing: bytes = b"") -> dict[str, str]:
    """The environment the process was started with.

    Empty when it cannot be read, when the process is gone or a zombie, or when the process has
    overwritten it with its title. Also empty when it does not contain the bytes `containing`: a
    quick answer for a scan of all processes.
    """
    block = _read(f"/proc/{pid}/environ") or _environ_after_exec(pid)
    if containing not in block:
        return {}
    pairs = (entry.partition(b"=") for entry in block.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _environ_after_exec(pid: int) -> bytes:
    """Read an empty environment again.

    In the middle of an exec the kernel shows neither environment nor command line.
    """
    for _ in range(EXEC_READS):
        entry = stat(pid)
        if (
            entry is None
            or entry.state in "ZXx"
            or entry.kernel_thread
            or _read(f"/proc/{pid}/cmdline")
        ):
            break
        time.sleep(EXEC_READ_PAUSE_S)
    return _read(f"/proc/{pid}/environ")


def cmdline(pid: int) -> str:
    """The command line on one line, arguments joined by a space.

    The name in brackets for a process without one (a zombie, a kernel thread).
    """
    raw = _read(f"/proc/{pid}/cmdline").rstrip(b"\0")
    if raw:
        return " ".join(raw.replace(b"\0", b" ").decode("utf-8", "backslashreplace").split())
    entry = stat(pid)
    return f"[{entry.comm}]" if entry else ""


def socket_inodes(pid: int) -> set[int]:
    """The inodes of all sockets the process has open; empty when it is gone or unreadable."""
    return {int(link[8:-1]) for link in open_files(pid) if link.startswith("socket:[")}


def open_files(pid: int) -> list[str]:
    """What its file descriptors are: paths, `socket:[…]`; empty when it is gone or unreadable."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 (hot path)
    except (*GONE, PermissionError):
        return []
    return [_link(f"{folder}/{name}") for name in names]


def used_paths(pid: int) -> list[str]:
    """The working directory of a process, and what it has open for writing; empty when gone."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 (hot path)
    except (*GONE, PermissionError):
        return []
    written = (_link(f"{folder}/{name}") for name in names if _is_written(pid, name))
    return [_link(f"/proc/{pid}/cwd"), *written]


def written_files(pid: int) -> set[str]:
    """The paths of the regular files that the process has open for writing; empty when gone.

    A file without a name (deleted, or in memory only) is not among them.
    """
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 (hot path)
    except (*GONE, PermissionError):
        return set()
    paths = ((name, _link(f"{folder}/{name}")) for name in names)
    return {
        path
        for name, path in paths
        if path.startswith("/")
        and not path.startswith(("/dev/", "/proc/", "/memfd:"))
        and not path.endswith(" (deleted)")
        and _is_regular(f"{folder}/{name}")
        and _is_written(pid, name)
    }


def _is_regular(path: str) -> bool:
    try:
        return stat_module.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (hot path)
    except OSError:
        return False


def file_written(pid: int, fd: int) -> tuple[int, int] | None:
    """Device and inode of a file that the process has open for writing as `fd`."""
    try:
        found = os.stat(f"/proc/{pid}/fd/{fd}")  # noqa: PTH116 (hot path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if _is_written(pid, str(fd)) else None


def _is_written(pid: int, fd: str) -> bool:
    flags = _read(f"/proc/{pid}/fdinfo/{fd}").partition(b"flags:")[2].split()
    return bool(flags) and int(flags[0], 8) & os.O_ACCMODE != os.O_RDONLY


@cache
def boot_id() -> str:
    """Names this boot of the machine: a pid of an earlier boot means nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 (hot path)
    except OSError:
        return ""


def _read(path: str) -> bytes:
    """A file of one process. The kernel gives all of such a file at once, if there is room."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (*GONE, PermissionError):
        return b""
    try:
        parts = [os.read(handle, READ_BYTES)]
        while len(parts[-1]) == READ_BYTES:
            parts.append(os.read(handle, READ_BYTES))
        return b"".join(parts)
    except (*GONE, PermissionError):  # a file that was closed meanwhile is not found
        return b""
    finally:
        os.close(handle)
