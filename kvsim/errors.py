"""Every error that kvsim raises on purpose, and the exit status of each.

The lowest layer: imports nothing of kvsim.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Exit(IntEnum):
    """Exit statuses of every kvsim command, for scripts."""

    PASS = 0
    FAIL = 1
    UNKNOWN = 2
    INVALID = 3
    USAGE = 4
    INTERNAL = 70


class Problem(NamedTuple):
    """One mistake in a user's file.

    `line` and `column` count from 1; 0 for a mistake that has no position in the file.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.message}"


class KvsimError(Exception):
    """Base of all. `exit` is the exit status of the command."""

    exit = Exit.INTERNAL


class UsageError(KvsimError):
    """The user's arguments or files are wrong: one line, no traceback, exit 4."""

    exit = Exit.USAGE


class FileProblems(UsageError):
    """Mistakes in the user's YAML files, all of them at once, sorted by position."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NodeFailed(KvsimError):
    """A node did not start, died, or did not stop. Its program is the cause: verdict fail."""

    exit = Exit.FAIL

    def __init__(self, node: str, message: str) -> None:
        self.node = node
        super().__init__(message)


class WrongState(NodeFailed):
    """A step asks of a node what it cannot do now, because of an earlier step. Verdict invalid.

    `lint` finds it where the file shows it; what the seed draws shows only in a run.
    """

    exit = Exit.INVALID


class RunInvalid(KvsimError):
    """The run proves nothing: verdict invalid.

    A fault had no effect, nothing was tested, or the run could not be recorded.
    """

    exit = Exit.INVALID


class LoadBroken(RunInvalid):
    """The process of a load ended by itself. What it recorded until then is judged."""
