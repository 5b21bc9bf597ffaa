"""Finds the file that a command line runs, or explains in one sentence why it cannot be run.

This is checked before spawning: behind a wrapper (setpriv, stdbuf) the system's own error would be
only an exit status. Starts nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from kvsim.errors import UsageError


class Cause(StrEnum):
    """Why a program could not be started."""

    MISSING = "no such file"
    FORBIDDEN = "not executable"
    DIRECTORY = "is a directory"
    INTERPRETER = "bad interpreter"
    FORMAT = "wrong format"
    LIBRARY = "missing shared library"
    WORKDIR = "bad working directory"
    USER = "cannot change user"
    TOOL = "missing tool"
    SYSTEM = "the system refused"


class SpawnError(UsageError):
    """A program that cannot be started at all.

    `cause` is for code; the message is one sentence for people.
    """

    def __init__(self, cause: Cause, program: str, why: str) -> None:
        self.cause, self.program = cause, program
        super().__init__(f"cannot start {program}: {why}")


def resolve(name: str, cwd: Path, env: Mapping[str, str]) -> Path:
    """The absolute path of the program `name`, from `cwd` and with the PATH of `env`.

    Raises SpawnError.
    """
    if not name:
        raise SpawnError(Cause.MISSING, "''", "the command line is empty")
    path = cwd / name if "/" in name else _on_path(name, cwd, env)
    _check_file(name, path)
    _check_format(name, path)
    return path


def _on_path(name: str, cwd: Path, env: Mapping[str, str]) -> Path:
    folders = [cwd / folder for folder in env.get("PATH", os.defpath).split(os.pathsep)]
    candidates = [folder / name for folder in folders if _is_file(folder / name)]
    runnable = [path for path in candidates if os.access(path, os.X_OK)]
    if runnable or candidates:
        return (runnable or candidates)[0]
    hint = f" (there is one in the working directory: write ./{name})"
    here = hint if _is_file(cwd / name) else ""
    raise SpawnError(Cause.MISSING, name, f"no program of that name in PATH{here}")


def _is_file(path: Path) -> bool:
    """Whether it is a file. False also in a folder that we may not enter, as PATH may list."""
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises there)


def _check_file(name: str, path: Path) -> None:
    try:
        if path.is_dir():
            raise SpawnError(Cause.DIRECTORY, name, f"{path} is a directory, not a program")
        if not path.exists():
            raise SpawnError(Cause.MISSING, name, f"no such file: {path} (is it built?)")
    except PermissionError as error:
        raise SpawnError(Cause.FORBIDDEN, name, f"no permission to look at {path}") from error
    if not path.is_file():
        raise SpawnError(Cause.FORMAT, name, f"{path} is not a regular file")
    if not os.access(path, os.X_OK):
        raise SpawnError(
            Cause.FORBIDDEN, name, f"{path} is not executable (chmod +x, or a noexec mount)"
        )


def _check_format(name: str, path: Path) -> None:
    head = _head(path)
    if head is None:
        # Executable but not readable: the system reports what is wrong.
        return
    if head.startswith(b"#!"):
        _check_script(name, path, head)
    elif head.startswith(b"\x7fELF"):
        _check_elf(name, path, head)
    elif not head:
        raise SpawnError(Cause.FORMAT, name, f"{path} is empty")
    elif not _foreign_formats():
        raise SpawnError(
            Cause.FORMAT, name, f"{path} is neither a program nor a script with a #! line"
        )


def _check_script(name: str, path: Path, head: bytes) -> None:
    line = head[2:].split(b"\n", 1)[0].strip(b" \t")
    interpreter = os.fsdecode(line.split(None, 1)[0]) if line.split() else ""
    if line.endswith(b"\r"):
        why = f"the #! line of {path} ends in a carriage return (Windows line ends)"
    elif not interpreter:
        why = f"the #! line of {path} names no interpreter"
    elif not Path(interpreter).exists():
        why = f"the #! line of {path} names {interpreter}, which does not exist"
    elif not os.access(interpreter, os.X_OK) or Path(interpreter).is_dir():
        why = f"the #! line of {path} names {interpreter}, which is not executable"
    else:
        return
    raise SpawnError(Cause.INTERPRETER, name, why)


ELF_MACHINES = {
    3: "i386",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    21: "ppc64",
    22: "s390x",
}
# The size of an ELF header, and of a program header in a 64-bit file.
ELF_HEADER_BYTES, PROGRAM_HEADER_BYTES = 64, 56
EXECUTABLE, SHARED_OBJECT = 2, 3
CLASS_64 = 2
PT_INTERP = 3
OWN = Path("/proc/self/exe")
HEAD_BYTES = 4096


def _check_elf(name: str, path: Path, head: bytes) -> None:
    """Check what the system reports badly: a missing loader, what is no program.

    Whether it runs another machine's program, only the kernel knows: see `explain_format`.
    """
    if len(head) < ELF_HEADER_BYTES:
        raise SpawnError(Cause.FORMAT, name, f"{path} is cut short (not a whole program)")
    order = "<" if head[5] == 1 else ">"
    (kind,) = struct.unpack_from(order + "H", head, 16)
    if kind not in (EXECUTABLE, SHARED_OBJECT):
        raise SpawnError(
            Cause.FORMAT, name, f"{path} is an object file or a core dump, not a program"
        )
    loader = _elf_loader(head, order)
    if loader and not Path(loader).exists():
        raise SpawnError(
            Cause.INTERPRETER, name, f"{path} needs the loader {loader}, which is not installed"
        )


def explain_format(path: Path) -> str:
    """Why the system cannot run a file's format: the machine that it is built for, where known."""
    if is_foreign(path):
        return f"{path} is built for {_elf_machine(path)}, this machine is {_elf_machine(OWN)}"
    return f"the system cannot run the format of {path}"


def is_foreign(path: Path) -> bool:
    """Whether a program is built for another machine than kvsim's own Python.

    The kernel may still run it.
    """
    built_for, here = _elf_machine(path), _elf_machine(OWN)
    return built_for is not None and here is not None and built_for != here


def _elf_machine(path: Path) -> str | None:
    head = _head(path)
    if head is None or not head.startswith(b"\x7fELF") or len(head) < ELF_HEADER_BYTES:
        return None
    (number,) = struct.unpack_from(("<" if head[5] == 1 else ">") + "H", head, 18)
    return ELF_MACHINES.get(number, f"machine type {number}")


def _elf_loader(head: bytes, order: str) -> str | None:
    """The path in the PT_INTERP header of a 64-bit file, when it is in the first 4 KiB."""
    if head[4] != CLASS_64:
        return None
    (table,) = struct.unpack_from(order + "Q", head, 32)
    size, count = struct.unpack_from(order + "HH", head, 54)
    last = min(table + size * count, len(head) - PROGRAM_HEADER_BYTES + 1)
    for position in range(table, last, size or PROGRAM_HEADER_BYTES):
        if struct.unpack_from(order + "I", head, position)[0] == PT_INTERP:
            (offset,) = struct.unpack_from(order + "Q", head, position + 8)
            (length,) = struct.unpack_from(order + "Q", head, position + 32)
            return os.fsdecode(head[offset : offset + length].split(b"\0", 1)[0]) or None
    return None


def _head(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return None


def _foreign_formats() -> bool:
    """Whether binfmt_misc may run other formats here (qemu, Java, Windows programs)."""
    try:
        return any(
            entry.name not in ("register", "status")
            for entry in Path("/proc/sys/fs/binfmt_misc").iterdir()
        )
    except OSError:
        return False
