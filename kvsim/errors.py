"""Every error kvsim raises on purpose, and the exit status each one ends in. Bottom layer: imports nothing of kvsim."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of every kvsim command, for scripts."""

    PASS = 0
    FAIL = 1
    UNKNOWN = 2
    INVALID = 3
    USAGE = 4
    INTERNAL = 70


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a user's file. `line` and `column` count from 1; 0 means the mistake has no place in the file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class KvsimError(Exception):
    """Base of all. `exit` is the status the command line ends with."""

    exit = Exit.INTERNAL


class UsageError(KvsimError):
    """The user's arguments or files are wrong: one line, no traceback, exit 4."""

    exit = Exit.USAGE


class FileProblems(UsageError):
    """Mistakes in the user's YAML files, all of them at once, sorted by place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NodeFailed(KvsimError):
    """A node did not start, died, or would not stop. The program under test is to blame: verdict fail."""

    exit = Exit.FAIL

    def __init__(self, node: str, message: str) -> None:
        self.node = node
        super().__init__(message)


class RunInvalid(KvsimError):
    """The run cannot prove anything (a fault never bit, nothing was tested, it could not be recorded): verdict invalid."""

    exit = Exit.INVALID
