"""Whether a process syncs in a way that the preloaded library does not see.

What it writes past the library is found by comparing the files with the record. A sync leaves no
bytes: it is looked for in the program's own code, as instructions that call the kernel, and in what
the kernel says of its cache. Where one is found, nothing follows from the record.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import struct
from collections.abc import Iterator
from pathlib import Path

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


def why_not_followed(pid: int) -> str | None:
    """Why the record may lack syncs of a process that has loaded the library; None: it does not."""
    try:
        links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return None
    if any("io_uring" in link for link in links):
        return "it writes through io_uring, which makes no calls"
    for path, name in _code_of(pid):
        if calls_kernel_to_sync(path):
            return f"{name} calls the kernel to sync without the C library"
    return None


def calls_kernel_to_sync(path: Path) -> bool:
    """Whether a file has the instructions of a sync, past the C library."""
    try:
        status = path.stat()
        return _has_sync(path, status.st_ino, status.st_mtime_ns)
    except OSError:
        return False


@functools.lru_cache(maxsize=64)
def _has_sync(path: Path, _inode: int, _mtime_ns: int) -> bool:
    """Raises OSError."""
    return has_sync(path.read_bytes(), platform.machine())


def has_sync(code: bytes, machine: str) -> bool:
    """Whether code has the number of a sync, and soon after it the call of the kernel. Pure."""
    pattern = _patterns().get(machine)
    return pattern is not None and pattern.search(code) is not None


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


def _code_of(pid: int) -> Iterator[tuple[Path, str]]:
    """The files with code in a process, but for those of the system: as (path, name)."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    found: dict[str, str] = {}
    for line in lines:
        words = line.split(maxsplit=5)
        if len(words) == 6 and "x" in words[1] and words[5].startswith("/"):
            found.setdefault(words[5], words[0])
    for path, area in found.items():
        name = Path(path).name
        if not SYSTEM_LIBRARY.fullmatch(name):
            # The link names the file also when it was replaced, or is in another namespace.
            linked = Path(f"/proc/{pid}/map_files/{area}")
            yield (linked if os.access(linked, os.R_OK) else Path(path)), name


# --- the kernel's cache ---------------------------------------------------------------------------


def is_clean(path: Path) -> bool | None:
    """Whether the kernel has nothing of a file to write; None where it does not say (Linux 6.5)."""
    counts = _cache_of(path)
    if counts is None:
        return None
    cached, dirty, in_writeback = counts
    return cached > 0 and dirty == 0 and in_writeback == 0


def tells_dirty_pages(folder: Path) -> bool:
    """Whether the kernel tells what is not written yet, of files in this file system."""
    path = folder / f".dirty-{os.getpid()}"
    try:
        with path.open("xb") as file:
            file.write(bytes(PAGE_BYTES))
            file.flush()
            before = is_clean(path)
            os.fsync(file.fileno())
            return before is False and is_clean(path) is True
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)


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
