"""Can the preloaded library break what a process does? Asks the operating system what is mapped into it, and looks at its program.

A library that is loaded is not yet one that is called: Go programs call the kernel themselves, even when they are dynamically linked.
"""

from __future__ import annotations

import struct
from pathlib import Path

GO_NOTE = b"Go\0\0"
PT_NOTE = 4
HEAD_BYTES = 1 << 16


def why_not(pid: int, library: Path) -> str | None:
    """Why a process is out of the library's reach; None when it is not."""
    program = Path(f"/proc/{pid}/exe")
    try:
        named = program.readlink().name
        mapped = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
        with program.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return f"pid {pid} cannot be looked at ({error.strerror})"
    if is_go(head):
        return f"{named} is a Go program, which calls the kernel past any library"
    if str(library) not in mapped:
        return f"{named} did not load the library: it is statically linked, has rights of its own, or drops LD_PRELOAD"
    return None


def holds_files(pid: int, folder: Path) -> bool:
    """Whether a process has a file below a folder open, or the folder itself."""
    try:
        return any(_leads_below(entry, folder) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _leads_below(entry: Path, folder: Path) -> bool:
    try:
        return entry.readlink().is_relative_to(folder)
    except OSError:
        return False


def is_go(head: bytes) -> bool:
    """Whether the first bytes of an ELF file carry the note that Go's linker leaves. Pure."""
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return False
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    try:
        if wide:
            (start,) = struct.unpack_from(order + "Q", head, 32)
            size, count = struct.unpack_from(order + "HH", head, 54)
        else:
            (start,) = struct.unpack_from(order + "I", head, 28)
            size, count = struct.unpack_from(order + "HH", head, 42)
        for at in range(start, start + size * count, size or 1):
            kind = struct.unpack_from(order + "I", head, at)[0]
            offset, length = (
                (
                    *struct.unpack_from(order + "Q", head, at + 8),
                    *struct.unpack_from(order + "Q", head, at + 32),
                )
                if wide
                else (
                    *struct.unpack_from(order + "I", head, at + 4),
                    *struct.unpack_from(order + "I", head, at + 16),
                )
            )
            if kind == PT_NOTE and GO_NOTE in head[offset : offset + length]:
                return True
    except struct.error:
        return False
    return False
