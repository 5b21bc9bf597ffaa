"""Command lines that change how a program runs and then become that program.

The pid stays the same. Each wrapper costs another exec, about 1 ms.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from kvsim.process.executable import Cause, SpawnError, is_foreign

LIMITS = frozenset(
    ["as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "rss", "stack"]
)


def die_with_parent(argv: Sequence[str]) -> list[str]:
    """The kernel kills the program when kvsim dies, however kvsim dies.

    This holds for the process itself, not for processes that it starts. For another machine's
    program the shim reports what the kernel said; setpriv would give it to a shell.
    """
    setpriv = tool("setpriv")
    if setpriv and not setpriv.endswith("busybox") and not is_foreign(Path(argv[0])):
        return [setpriv, "--pdeathsig", "KILL", "--", *argv]
    shim = Path(__file__).with_name("parent_death_signal.py")
    return [sys.executable, "-I", "-S", str(shim), str(os.getpid()), *argv]


def in_empty_network(argv: Sequence[str]) -> list[str]:
    """In a new network namespace, where no port is in use. The program's path is absolute."""
    shim = Path(__file__).with_name("empty_network.py")
    return [sys.executable, "-I", "-S", str(shim), *argv]


def line_buffered(argv: Sequence[str]) -> list[str]:
    """C stdio writes each line at once, although its output is a file.

    Without effect on static programs and on programs that do not use C stdio.
    """
    return [_needed("stdbuf", "log mode linebuf"), "-oL", "-eL", "--", *argv]


def limited(argv: Sequence[str], limits: Mapping[str, int]) -> list[str]:
    """With resource limits: names as of prlimit(1) -> bytes, seconds or counts.

    Raises SpawnError for an unknown name.
    """
    unknown = sorted(set(limits) - LIMITS)
    if unknown:
        raise SpawnError(
            Cause.SYSTEM,
            argv[0],
            f"no limit is called {unknown[0]} (there are {', '.join(sorted(LIMITS))})",
        )
    options = [f"--{name}={value}" for name, value in limits.items()]
    return [_needed("prlimit", "limits"), *options, "--", *argv]


@cache
def tool(name: str) -> str | None:
    """The real path of a helper program on kvsim's own PATH."""
    found = shutil.which(name)
    return str(Path(found).resolve()) if found else None


def _needed(name: str, why: str) -> str:
    path = tool(name)
    if path is None:
        raise SpawnError(
            Cause.TOOL, name, f"{why} needs the program {name}, which is not installed"
        )
    return path
