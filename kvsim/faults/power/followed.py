"""Whether a process syncs in a way that the preloaded library does not see.

What it writes past the library is found by comparing the files with the record. A sync leaves no
bytes: it is looked for in the program's own code, as instructions that call the kernel to sync.
Where a file was never synced as far as is known, any instructions that call the kernel are enough,
and so is a kernel that has nothing to write of the file: Linux 6.5 or newer says so, in file
systems on disks. A file that kvsim writes and nobody syncs shows that no one else has synced all.
Where one of these is found, nothing follows from the record.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

# How the system's own libraries are named: their calls go through names that the library replaces.
SYSTEM_LIBRARY = re.compile(
    r"(?:libc|libpthread|ld|ld-linux[\w-]*|ld-musl[\w-]*|libc\.musl[\w-]*|libasan|libtsan|libubsan)"
    r"[-.][\w.-]*"
)
# From the number of the call to the instruction, in bytes.
DISTANCE_MAX = 48
# The numbers of fsync, fdatasync, sync, syncfs and msync.
NUMBERS = {"x86_64": (74, 75, 162, 306, 26), "aarch64": (82, 83, 81, 267, 227)}
CACHESTAT = 451
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
# The instruction that calls the kernel, whatever the number: on x86-64 with what comes after it, so
# that two bytes of something else are not taken for it.
KERNEL_CALLS = {
    "x86_64": re.compile(
        rb"\x0f\x05(?:\xc3|\x89|\x48[\x3d\x89\x8b\x85\x83\xf7]|[\x49\x4c]\x89|\x3d..\xff\xff|"
        rb"\xc9\xc3|[\x58-\x5f]\xc3)",
        re.DOTALL,
    ),
    "aarch64": re.compile(rb"\x01\x00\x00\xd4"),
}


def why_not_followed(pid: int) -> str | None:
    """Why the record may lack syncs of a process that has loaded the library; None: it does not."""
    try:
        links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return None
    if any("io_uring" in link for link in links):
        return "it writes through io_uring, which makes no calls"
    for code in _code_of(pid):
        if code.has(has_sync):
            return f"{code.name} calls the kernel to sync without the C library"
    return None


def own_kernel_calls(pid: int) -> str:
    """The name of code of a process that calls the kernel by itself, for whatever; "": none is."""
    return next((code.name for code in _code_of(pid) if code.has(has_kernel_call)), "")


class Code(Struct, frozen=True):
    """The executable part of a file that a process has in its memory."""

    path: Path
    name: str
    offset: int
    size: int

    def has(self, wanted: Callable[[bytes, str], bool]) -> bool:
        """Whether it has what `wanted` looks for. What cannot be read has nothing."""
        try:
            status = self.path.stat()
            return _has(self, wanted, status.st_ino, status.st_mtime_ns)
        except OSError:
            return False


@functools.lru_cache(maxsize=128)
def _has(code: Code, wanted: Callable[[bytes, str], bool], _inode: int, _mtime_ns: int) -> bool:
    """Raises OSError."""
    with code.path.open("rb") as file:
        file.seek(code.offset)
        return wanted(file.read(code.size), platform.machine())


def has_sync(code: bytes, machine: str) -> bool:
    """Whether code has the number of a sync, and soon after it the call of the kernel. Pure."""
    pattern = _patterns().get(machine)
    return pattern is not None and pattern.search(code) is not None


def has_kernel_call(code: bytes, machine: str) -> bool:
    """Whether code has instructions that call the kernel; of another machine that is not known, so
    it may. Pure.
    """
    pattern = KERNEL_CALLS.get(machine)
    return pattern is None or pattern.search(code) is not None


@functools.cache
def _patterns() -> dict[str, re.Pattern[bytes]]:
    near = rb".{0,%d}?" % DISTANCE_MAX
    numbers = [struct.pack("<I", number) for number in NUMBERS["x86_64"]]
    # mov $number, %eax; mov $number, %rax; then syscall.
    either = b"|".join(map(re.escape, numbers))
    intel = rb"(?:\xb8|\x48\xc7\xc0)(?:" + either + rb")" + near + rb"\x0f\x05"
    # mov x8 or w8, #number; then svc #0.
    words = [struct.pack("<I", 0x52800008 | number << 5) for number in NUMBERS["aarch64"]]
    words += [struct.pack("<I", 0xD2800008 | number << 5) for number in NUMBERS["aarch64"]]
    arm = rb"(?:" + b"|".join(map(re.escape, words)) + rb")" + near + rb"\x01\x00\x00\xd4"
    return {
        "x86_64": re.compile(intel, re.DOTALL),
        "aarch64": re.compile(arm, re.DOTALL),
    }


def _code_of(pid: int) -> Iterator[Code]:
    """The code in a process, but for that of the system."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split(maxsplit=5)
        if len(words) < 6 or "x" not in words[1] or not words[5].startswith("/"):
            continue
        area, name = words[0], Path(words[5]).name
        if not SYSTEM_LIBRARY.fullmatch(name):
            begin, end = (int(number, 16) for number in area.split("-"))
            # The link names the file also when it was replaced, or is in another namespace.
            linked = Path(f"/proc/{pid}/map_files/{area}")
            path = linked if os.access(linked, os.R_OK) else Path(words[5])
            yield Code(path, name, int(words[2], 16), end - begin)


# --- the kernel's cache ---------------------------------------------------------------------------


def is_clean(path: Path) -> bool | None:
    """Whether the kernel has nothing of a file to write; None where it does not say (Linux 6.5)."""
    counts = _cache_of(path)
    if counts is None:
        return None
    cached, dirty, in_writeback = counts
    return cached > 0 and dirty == 0 and in_writeback == 0


def write_unsynced(path: Path) -> None:
    """Write a file that nobody syncs. Raises OSError."""
    path.write_bytes(bytes(PAGE_BYTES))


def is_dirty(path: Path) -> bool:
    """Whether the kernel says that it still has something of a file to write."""
    counts = _cache_of(path)
    return counts is not None and counts[1] + counts[2] > 0


def _cache_of(path: Path) -> tuple[int, int, int] | None:
    """(pages in the cache, of them changed, of them being written), by cachestat(2)."""
    everything = struct.pack("=QQ", 0, 0)
    result = ctypes.create_string_buffer(40)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if libc.syscall(CACHESTAT, fd, everything, result, 0) != 0:
            return None
    finally:
        os.close(fd)
    cached, dirty, in_writeback, _, _ = struct.unpack("=5Q", result.raw)
    return cached, dirty, in_writeback
