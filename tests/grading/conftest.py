"""A teacher's folder: a plan, scenarios, and submissions based on the reference store."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvsim.grading.sandbox import Isolation, best_isolation

# The first is one that other users may run, where it exists.
PYTHONS = [Path("/usr/bin/python3"), Path(sys.executable)]
NODE = """program: submission
start: [./run, "--port={{port}}", "--data-dir={{data_dir}}", "--role={{role}}"]
start_follower: ["--leader={{leader.addr}}"]
ready: {{log: "\\\\[node\\\\] listening on", port: owned, ping: true, within: 4s}}
stop: {{signal: TERM, grace: 1s, exit: [0]}}
{rest}
"""
COPIED_KEYS = (
    "options",
    "speak",
    "requests",
    "replies",
    "role_log",
    "capabilities",
    "guarantees",
)


class School:
    """A teacher's folder, and kvsim called in it."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.tester = [sys.executable]
        self.python = next(path for path in PYTHONS if path.exists())
        for name in ("roles", "reads"):
            shutil.copy(root / f"scenarios/{name}.yaml", folder)
            path = folder / f"{name}.yaml"
            path.write_text(path.read_text().replace("../cluster.yaml", "cluster.yaml"))
        cluster = (root / "cluster.yaml").read_text()
        (folder / "cluster.yaml").write_text(
            cluster.replace("program: kvstore", f"program: {root}/nodes/kvstore/node.yaml")
        )
        (folder / "node.yaml").write_text(NODE.format(rest=self._rest()))
        self.plan("scenarios: [{file: roles.yaml, points: 10}]")

    def _rest(self) -> str:
        lines, wanted = [], False
        for line in (self.root / "nodes/kvstore/node.yaml").read_text().splitlines():
            if line[:1].isalpha():
                wanted = line.split(":")[0] in COPIED_KEYS
            lines += [line] if wanted else []
        return "\n".join(lines)

    def plan(self, rest: str) -> None:
        (self.folder / "plan.yaml").write_text(f"plan: lesson\nprogram: node.yaml\n{rest}\n")

    def submission(self, name: str, before: str = "", *, serves: bool = True) -> Path:
        """The reference store behind a shell script that runs `before` first.

        Without `serves` the script does nothing else.
        """
        folder = self.folder / "subs" / name
        shutil.copytree(self.root / "nodes/kvstore", folder / "kvstore")
        run = folder / "run"
        run.write_text(
            f'#!/bin/sh\nhere=$(dirname "$0")\n{before}\n'
            + (f'exec {self.python} -I -S "$here/kvstore/__main__.py" "$@"\n' if serves else "")
        )
        run.chmod(0o755)
        return folder

    def words(self, *words: object) -> list[str]:
        """The command line that grades everything."""
        command = ["grade", "subs", "--plan", "plan.yaml", "--out", "out", *map(str, words)]
        return [*self.tester, "-m", "kvsim", *command]

    def grade(self, *words: object) -> subprocess.CompletedProcess[str]:
        return self._call(self.words(*words))

    def check(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Try the plan."""
        return self.run("grade", "--check", "plan.yaml", *words)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """kvsim in the teacher's folder."""
        return self._call([*self.tester, "-m", "kvsim", *words])

    def _call(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=100)

    def grades(self, *words: object) -> dict[str, Any]:
        """name → its entry in grades.json."""
        done = self.grade(*words, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return {grade["submission"]: grade for grade in json.loads(done.stdout)["grades"]}

    def logs(self, name: str) -> str:
        """Everything that a submission's nodes wrote to their logs."""
        found = sorted((self.folder / "out" / name / "runs").rglob("*.log"))
        return "".join(path.read_text(errors="replace") for path in found)


@pytest.fixture
def school(tmp_path: Path, root: Path) -> School:
    return School(tmp_path, root)


@pytest.fixture(scope="session")
def isolation() -> Isolation:
    return best_isolation()


@pytest.fixture
def own_users(isolation: Isolation) -> None:
    if isolation is not Isolation.USERS:
        pytest.skip(f"here a submission has {isolation.value}")


@pytest.fixture
def sandboxed(isolation: Isolation) -> None:
    if isolation is Isolation.NONE:
        pytest.skip("this system gives no namespaces")
