"""Finds the file a command line would run, and says in one sentence why it cannot be run. Starts nothing.

Checked before spawning, because behind a wrapper (setpriv, stdbuf) the system's own error would be only an
exit status.
"""

from __future__ import annotations

import os
import platform
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
    """A program that cannot be started at all. `cause` is for code, the message one sentence for people."""

    def __init__(self, cause: Cause, program: str, why: str) -> None:
        self.cause, self.program = cause, program
        super().__init__(f"cannot start {program}: {why}")


def resolve(name: str, cwd: Path, env: Mapping[str, str]) -> Path:
    """The absolute path of the program `name` names from `cwd` with `env`'s PATH. Raises SpawnError."""
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
    here = " (there is one in the working directory: write ./" + name + ")" if _is_file(cwd / name) else ""
    raise SpawnError(Cause.MISSING, name, f"no program of that name in PATH{here}")


def _is_file(path: Path) -> bool:
    """False also in a folder that we may not enter: PATH may name such."""
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
        raise SpawnError(Cause.FORBIDDEN, name, f"{path} is not executable (chmod +x, or a noexec mount)")


def _check_format(name: str, path: Path) -> None:
    head = _head(path)
    if head is None:  # executable but not readable: the system will say
        return
    if head.startswith(b"#!"):
        _check_script(name, path, head)
    elif head.startswith(b"\x7fELF"):
        _check_elf(name, path, head)
    elif not head:
        raise SpawnError(Cause.FORMAT, name, f"{path} is empty")
    elif not _foreign_formats():
        raise SpawnError(Cause.FORMAT, name, f"{path} is neither a program nor a script with a #! line")


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


ELF_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64", 22: "s390x"}
RUNS_TOO = {"x86_64": {"i386"}, "aarch64": {"arm"}}


def _check_elf(name: str, path: Path, head: bytes) -> None:
    """The two things the system reports badly: another machine's program, and a loader that is not
    installed.
    """
    if len(head) < 64:
        raise SpawnError(Cause.FORMAT, name, f"{path} is cut short (not a whole program)")
    order = "<" if head[5] == 1 else ">"
    kind, number = struct.unpack_from(order + "HH", head, 16)
    machine, here = (
        ELF_MACHINES.get(number, f"machine type {number}"),
        platform.machine().replace("ppc64le", "ppc64"),
    )
    if machine != here and machine not in RUNS_TOO.get(here, ()) and not _foreign_formats():
        raise SpawnError(Cause.FORMAT, name, f"{path} is built for {machine}, this machine is {here}")
    if kind not in (2, 3):
        raise SpawnError(Cause.FORMAT, name, f"{path} is an object file or a core dump, not a program")
    loader = _elf_loader(head, order)
    if loader and not Path(loader).exists():
        raise SpawnError(Cause.INTERPRETER, name, f"{path} needs the loader {loader}, which is not installed")


def _elf_loader(head: bytes, order: str) -> str | None:
    """The path in the PT_INTERP header of a 64-bit file, where the first 4 KiB hold it."""
    if head[4] != 2:
        return None
    table, size, count = (
        *struct.unpack_from(order + "Q", head, 32),
        *struct.unpack_from(order + "HH", head, 54),
    )
    for place in range(table, min(table + size * count, len(head) - 56 + 1), size or 56):
        if struct.unpack_from(order + "I", head, place)[0] == 3:
            offset, length = (
                struct.unpack_from(order + "Q", head, place + 8)[0],
                struct.unpack_from(order + "Q", head, place + 32)[0],
            )
            return os.fsdecode(head[offset : offset + length].split(b"\0", 1)[0]) or None
    return None


def _head(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return None


def _foreign_formats() -> bool:
    """Whether binfmt_misc may run what this machine cannot by itself (qemu, Java, Windows programs)."""
    try:
        return any(
            entry.name not in ("register", "status") for entry in Path("/proc/sys/fs/binfmt_misc").iterdir()
        )
    except OSError:
        return False
