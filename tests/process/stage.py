"""Real small processes for the tests of kvsim/process."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from kvsim.process import proc
from kvsim.process.child import Child, reap_adopted
from kvsim.process.environment import Mark, clean
from kvsim.process.identity import Identity, of
from kvsim.process.ladder import Target, kill_all
from kvsim.process.spawn import Plan, spawn
from kvsim.waiting import Deadline, wait_until

PYTHON = (str(Path(sys.executable).resolve()), "-I", "-S", "-c")
LINES_AT_ONCE = "import sys; sys.stdout.reconfigure(line_buffering=True)\n"  # each line one write
SLEEP = "import time; time.sleep(60)"


def soon(ask: Callable[[], object], saying: str = "the condition", within_s: float = 10.0) -> object:
    return wait_until(ask, Deadline.after(within_s), saying)


class Stage:
    """Starts processes for one test and remembers them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = Mark(uuid.uuid4().hex, "n1")
        self.log = folder / "log"
        self.started: list[Child] = []

    def plan(self, *argv: str, **changes: object) -> Plan:
        values = {"argv": argv, "cwd": self.folder, "env": clean(self.mark), "stdout": self.log, **changes}
        return Plan(**values)  # type: ignore[arg-type]

    def run(self, *argv: str, **changes: object) -> Child:
        self.started.append(spawn(self.plan(*argv, **changes)))
        return self.started[-1]

    def python(self, code: str, *args: str, says: str = "", **changes: object) -> Child:
        """Run Python code; with `says`, wait until its output holds that."""
        child = self.run(*PYTHON, LINES_AT_ONCE + code, *args, **changes)
        if says:
            soon(lambda: f"{says}\n" in self.said(), f"{says!r} in the log")
        return child

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def number(self, word: str) -> int:
        """The number after `word` in the output."""
        return int(
            str(soon(lambda: self.said().partition(f"{word} ")[2].partition("\n")[0], f"{word} in the log"))
        )

    def identity(self, word: str) -> Identity:
        """The process whose pid stands after `word` in the output."""
        found = of(self.number(word))
        assert found
        return found

    def adopted(self) -> None:
        """Reap the dead that we adopted as subreaper."""
        reap_adopted(pid for pid, entry in proc.table().items() if entry.ppid == os.getpid())

    def clear(self) -> None:
        kill_all([Target(child, self.mark) for child in self.started])
