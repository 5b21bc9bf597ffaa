"""A user's project whose campaigns can be observed and disturbed."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


class Project:
    """A folder with a cluster file and scenarios, and kvsim called in it."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        cluster = (root / "cluster.yaml").read_text()
        (folder / "cluster.yaml").write_text(
            cluster.replace("program: kvstore", f"program: {root}/nodes/kvstore/node.yaml")
        )
        (folder / "scenarios").mkdir()
        for name in ("roles", "reads"):
            shutil.copy(root / f"scenarios/{name}.yaml", folder / "scenarios")
        self.broken = str(root / "nodes/broken/node.yaml")

    def words(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "kvsim", "campaign", *map(str, words)]

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), cwd=self.folder, capture_output=True, text=True, timeout=110
        )

    def start(self, *words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(*words),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, columns: str = "key", folder: str = "runs/campaign") -> list[tuple[object, ...]]:
        """Rows of the database, which may be in use; none before it exists."""
        path = self.folder / folder / "campaign.sqlite"
        if not path.exists():
            return []
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return database.execute(f"SELECT {columns} FROM runs ORDER BY number").fetchall()
        except sqlite3.OperationalError:
            # Its tables are being made.
            return []
        finally:
            database.close()


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Project:
    return Project(tmp_path, root)


def workers_of(pid: int) -> list[psutil.Process]:
    """Dask's worker processes of a campaign."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "multiprocessing.spawn" in " ".join(child.cmdline())]
