"""How a person calls kvsim on this machine: the first words of the commands that kvsim prints."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

INTERPRETERS = ("python3", "python")


def invocation() -> tuple[str, ...]:
    """`kvsim` where the command of this installation is on the path, else `python3 -m kvsim`.

    The interpreter is named as the path finds it, else by its file: `.venv/bin/python`.
    """
    interpreter = Path(sys.executable)
    command = _on_path("kvsim")
    # pipx puts a link on the path.
    if command and command.resolve() == interpreter.with_name("kvsim").resolve():
        return ("kvsim",)
    named = (name for name in INTERPRETERS if _on_path(name) == interpreter)
    return (next(named, _short(interpreter)), "-m", "kvsim")


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).absolute() if found else None


def _short(path: Path) -> str:
    """Relative where the file is below the working directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
