"""A project folder as a user has it, and kvsim called as a user calls it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvsim.process.ports import reserve
from kvsim.waiting import Deadline, wait_until

TIMEOUT_S = 180


@dataclass
class Project:
    """A folder with a cluster file of three reference nodes on free ports, and scenarios."""

    folder: Path
    ports: list[int]

    def run(
        self, *words: object, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Call kvsim in the folder; never raises for its exit status."""
        return subprocess.run(
            [sys.executable, "-m", "kvsim", *map(str, words)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**os.environ, **(env or {})},
        )

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Call kvsim and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-m", "kvsim", *map(str, words)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def wait_for_journal(self, text: str, times: int = 1) -> None:
        """Wait until the journal of the newest run has the text so many times."""
        journal = self.folder / "runs" / "latest" / "history.jsonl"
        wait_until(
            lambda: journal.exists() and journal.read_text().count(text) >= times,
            Deadline.after(TIMEOUT_S),
            f"{text} in the journal",
        )

    @property
    def latest(self) -> Path:
        return (self.folder / "runs" / "latest").resolve()

    def scenario(self, steps: str, name: str = "mine", head: str = "") -> Path:
        """A scenario file of these steps (a YAML list without indentation)."""
        body = "\n".join("  " + line for line in steps.strip("\n").splitlines())
        return self.write(
            f"scenarios/{name}.yaml",
            f"scenario: {name}\ntitle: a scenario of a test\ncluster: "
            f"../cluster.yaml\n{head}\nsteps:\n{body}\n",
        )


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Iterator[Project]:
    """A new project; its cluster is down after the test."""
    with reserve(3) as reservation:
        ports = list(reservation.ports)
        text = (root / "cluster.yaml").read_text()
        text = text.replace("program: kvstore", f"program: {root}/nodes/kvstore/node.yaml")
        for fixed, port in zip((9001, 9002, 9003), ports, strict=True):
            text = re.sub(rf"\b{fixed}\b", str(port), text)
        made = Project(tmp_path, ports)
        made.write("cluster.yaml", text)
        shutil.copytree(
            root / "scenarios", tmp_path / "scenarios", ignore=shutil.ignore_patterns("storms")
        )
        yield made
        # The state of a cluster that is up. Without it there is nothing to stop.
        if (tmp_path / ".kvsim").exists():
            made.run("down")


def kill_group(process: subprocess.Popen[str]) -> None:
    """Send SIGKILL to kvsim alone, not to its children, as the out-of-memory killer does."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
