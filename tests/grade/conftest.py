"""A teacher's folder: a plan, scenarios, and submissions made of the reference store with something added."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvsim.grade.room import Isolation, best_isolation

PYTHONS = [Path("/usr/bin/python3"), Path(sys.executable)]  # one that other users may run, where there is one
NODE = """program: submission
start: [./run, "--port={{port}}", "--data-dir={{data_dir}}", "--role={{role}}"]
start_follower: ["--leader={{leader.addr}}"]
ready: {{log: "\\\\[node\\\\] listening on", port: owned, ping: true, within: 4s}}
stop: {{signal: TERM, grace: 1s, exit: [0]}}
{rest}
"""
COPIED = ("speak", "requests", "replies", "role_log", "capabilities", "promises")


class Class:
    """A folder as a teacher has it; kvsim called in it."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.tester = [sys.executable]
        self.python = next(one for one in PYTHONS if one.exists())
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
                wanted = line.split(":")[0] in COPIED
            lines += [line] if wanted else []
        return "\n".join(lines)

    def plan(self, rest: str) -> None:
        (self.folder / "plan.yaml").write_text(f"plan: lesson\nprogram: node.yaml\n{rest}\n")

    def submission(self, name: str, before: str = "", *, serves: bool = True) -> Path:
        """The reference store behind a shell script that does `before` first; without `serves` nothing else."""
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
        call = ["grade", "subs", "--plan", "plan.yaml", "--out", "out", *map(str, words)]
        return [*self.tester, "-m", "kvsim", *call]

    def grade(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), cwd=self.folder, capture_output=True, text=True, timeout=100
        )

    def grades(self, *words: object) -> dict[str, Any]:
        """name → its entry in grades.json."""
        done = self.grade(*words, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return {one["submission"]: one for one in json.loads(done.stdout)["grades"]}

    def logs(self, name: str) -> str:
        """All that a submission's nodes wrote."""
        found = sorted((self.folder / "out" / name / "runs").rglob("*.log"))
        return "".join(path.read_text(errors="replace") for path in found)


@pytest.fixture
def school(tmp_path: Path, root: Path) -> Class:
    return Class(tmp_path, root)


@pytest.fixture(scope="session")
def isolation() -> Isolation:
    return best_isolation()


@pytest.fixture
def own_users(isolation: Isolation) -> None:
    if isolation is not Isolation.USERS:
        pytest.skip(f"here a submission has {isolation.value}")


@pytest.fixture
def own_room(isolation: Isolation) -> None:
    if isolation is Isolation.NONE:
        pytest.skip("this system gives no namespaces")
