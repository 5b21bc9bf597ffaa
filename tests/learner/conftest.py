"""A learner's folder: a store in C and its client, compiled here, and no file of kvsim."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TIMEOUT_S = 180


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """The folder with both programs. Skips where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here (apt-get install gcc)")
    folder = tmp_path_factory.mktemp("built")
    for name in ("kvstore", "kv_client"):
        subprocess.run(
            [compiler, "-O1", "-Wall", "-o", folder / name, HERE / f"{name}.c"],
            check=True,
            timeout=TIMEOUT_S,
        )
    return folder


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Path:
    """The learner's folder, with build/ in it."""
    shutil.copytree(built, tmp_path / "build")
    return tmp_path


@pytest.fixture
def kvsim(home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call kvsim in the learner's folder."""

    def call(*words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kvsim", *map(str, words)],
            cwd=home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "KVSIM_TEST": "learner",
            },
        )

    return call
