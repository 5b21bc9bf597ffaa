"""Real small processes for the tests of kvsim/process."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from kvsim.process import procfs
from kvsim.process.child import Child, reap_adopted
from kvsim.process.environment import ProcessTag, clean_environment
from kvsim.process.identity import Identity, identify
from kvsim.process.spawn import SpawnPlan, spawn
from kvsim.process.termination import StopTarget, kill_all
from kvsim.waiting import Deadline, wait_until

PYTHON = (str(Path(sys.executable).resolve()), "-I", "-S", "-c")
# Each line is one write.
LINES_AT_ONCE = "import sys; sys.stdout.reconfigure(line_buffering=True)\n"
SLEEP = "import time; time.sleep(60)"


def eventually(
    ask: Callable[[], object], what: str = "the condition", timeout_s: float = 10.0
) -> object:
    return wait_until(ask, Deadline.after(timeout_s), what)


class ProcessStarter:
    """Starts the processes of one test and remembers them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tag = ProcessTag(uuid.uuid4().hex, "n1")
        self.log = folder / "log"
        self.started: list[Child] = []

    def plan(self, *argv: str, **changes: object) -> SpawnPlan:
        values = {
            "argv": argv,
            "cwd": self.folder,
            "env": clean_environment(self.tag),
            "stdout": self.log,
            **changes,
        }
        return SpawnPlan(**values)  # type: ignore[arg-type]

    def run(self, *argv: str, **changes: object) -> Child:
        self.started.append(spawn(self.plan(*argv, **changes)))
        return self.started[-1]

    def python(self, code: str, *args: str, prints: str = "", **changes: object) -> Child:
        """Run Python code; with `prints`, wait until it has printed that line."""
        child = self.run(*PYTHON, LINES_AT_ONCE + code, *args, **changes)
        if prints:
            eventually(lambda: f"{prints}\n" in self.output(), f"{prints!r} in the log")
        return child

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def number(self, word: str) -> int:
        """The number after `word` in the output."""

        def look() -> str:
            return self.output().partition(f"{word} ")[2].partition("\n")[0]

        return int(str(eventually(look, f"{word} in the log")))

    def identity(self, word: str) -> Identity:
        """The process whose pid stands after `word` in the output."""
        found = identify(self.number(word))
        assert found
        return found

    def reap_adopted(self) -> None:
        """Reap the dead processes that became our children, because we are the subreaper."""
        reap_adopted(pid for pid, entry in procfs.table().items() if entry.ppid == os.getpid())

    def clear(self) -> None:
        kill_all([StopTarget(child, self.tag) for child in self.started])
