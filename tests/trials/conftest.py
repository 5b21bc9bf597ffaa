"""A user's project with a store that fails now and then, by a list in a file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Each start of a leader takes the first letter of the list: `x` exits, `h` hangs before it is
# ready, any other letter serves.
FLAKY = """#!/bin/sh
case "$*" in *--role=leader*)
  exec 9>"{folder}/lock"; flock 9
  letter=$(head -c 1 "{folder}/list")
  tail -c +2 "{folder}/list" >"{folder}/list.new"; mv "{folder}/list.new" "{folder}/list"
  exec 9>&-
  [ "$letter" = x ] && exit 3
  [ "$letter" = h ] && exec sleep 1000
esac
exec "$@"
"""
PROGRAM = """program: flaky
like: {root}/nodes/kvstore
start: ["{folder}/flaky.sh", "{{python}}", -I, -S, "{root}/nodes/kvstore/__main__.py",
        "--port={{port}}", "--data-dir={{data_dir}}", "--role={{role}}"]
ready: {{log: "\\\\[node\\\\] listening on", port: owned, ping: true, within: 3s}}
"""


class Project:
    """A folder with a cluster, a scenario and the flaky store, and kvsim called in it."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        (folder / "flaky.sh").write_text(FLAKY.format(folder=folder))
        (folder / "flaky.sh").chmod(0o755)
        (folder / "node.yaml").write_text(PROGRAM.format(folder=folder, root=root))
        cluster = (root / "cluster.yaml").read_text()
        (folder / "cluster.yaml").write_text(
            cluster.replace("program: kvstore", f"program: {root}/nodes/kvstore/node.yaml")
        )
        (folder / "scenarios").mkdir()
        shutil.copy(root / "scenarios/roles.yaml", folder / "scenarios")
        self.fails("")

    def fails(self, letters: str) -> None:
        (self.folder / "list").write_text(letters)

    def words(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "kvsim", *map(str, words)]

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), cwd=self.folder, capture_output=True, text=True, timeout=300
        )

    def start(self, *words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(*words),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Project:
    return Project(tmp_path, root)
