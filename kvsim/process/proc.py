"""The few files of /proc that kvsim reads, as values.

Reads only; a process that is gone is None or empty, never an error.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

KERNEL = 2  # the parent of all kernel threads, which have neither environment nor command line
EXEC_LOOKS, EXEC_LOOK_S = 20, 0.0005
GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True)
class Stat:
    """One line of /proc/<pid>/stat.

    `start_ticks` counts clock ticks since boot; `state` is one letter (R, S, D, T, Z, …).
    """

    pid: int
    comm: str
    state: str
    ppid: int
    pgid: int
    session: int
    start_ticks: int


def parse_stat(line: bytes) -> Stat:
    """Read a stat line.

    The name stands in brackets and may itself hold brackets and spaces: the last `)` ends it.
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
    )


def stat(pid: int) -> Stat | None:
    line = _read(f"/proc/{pid}/stat")
    return parse_stat(line) if line else None


def table() -> dict[int, Stat]:
    """Every process of this machine (of this pid namespace) at about this moment."""
    found = (stat(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 (hot path)
    return {entry.pid: entry for entry in found if entry}


def thread_states(pid: int) -> list[str]:
    """The state letter of every thread; empty when the process is gone."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (hot path)
    except GONE:
        return []
    lines = (_read(f"/proc/{pid}/task/{thread}/stat") for thread in threads)
    return [parse_stat(line).state for line in lines if line]


def environ(pid: int, holding: bytes = b"") -> dict[str, str]:
    """The environment the process was started with; empty when unreadable, gone, a zombie, or overwritten by
    its title.

    With `holding`, also empty when those bytes stand nowhere in it: a quick answer for a scan of all
    processes.
    """
    block = _read(f"/proc/{pid}/environ") or _environ_after_exec(pid)
    if holding not in block:
        return {}
    pairs = (entry.partition(b"=") for entry in block.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _environ_after_exec(pid: int) -> bytes:
    """A second look at an empty environment: in the middle of an exec the kernel shows none, and no command
    line.
    """
    for _ in range(EXEC_LOOKS):
        entry = stat(pid)
        if (
            entry is None
            or entry.state in "ZXx"
            or KERNEL in (pid, entry.ppid)
            or _read(f"/proc/{pid}/cmdline")
        ):
            break
        time.sleep(EXEC_LOOK_S)
    return _read(f"/proc/{pid}/environ")


def cmdline(pid: int) -> str:
    """The command line on one line, arguments joined by a space; the bracketed name where there is none (a
    zombie, a kernel thread).
    """
    raw = _read(f"/proc/{pid}/cmdline").rstrip(b"\0")
    if raw:
        return " ".join(raw.replace(b"\0", b" ").decode("utf-8", "backslashreplace").split())
    entry = stat(pid)
    return f"[{entry.comm}]" if entry else ""


def socket_inodes(pid: int) -> set[int]:
    """The inodes of all sockets the process holds open; empty when it is gone or not ours to look at."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 (hot path)
    except (*GONE, PermissionError):
        return set()
    links = (_link(f"{folder}/{name}") for name in names)
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


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
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (*GONE, PermissionError):
        return b""
    try:
        return b"".join(iter(lambda: os.read(handle, 65536), b""))
    except (ProcessLookupError, PermissionError):
        return b""
    finally:
        os.close(handle)
