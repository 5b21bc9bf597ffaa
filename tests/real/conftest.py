"""Real servers, started by kvsim. Where one is missing, its tests skip and name the package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120


def postgres_bin() -> Path | None:
    """The newest installed PostgreSQL's folder of programs, as Debian lays them out."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4])
    )
    return found[-1].parent if found else None


@dataclass(frozen=True)
class Real:
    """A real system: its cluster file, its options here, and whether it is installed (`here`)."""

    name: str
    package: str
    here: bool
    options: tuple[str, ...] = ()


SYSTEMS = {
    "redis": Real("redis", "redis-server", shutil.which("redis-server") is not None),
    "etcd": Real("etcd", "etcd-server", shutil.which("etcd") is not None),
    "storm-etcd": Real("storm-etcd", "etcd-server", shutil.which("etcd") is not None),
    "postgres": Real(
        "postgres", "postgresql", postgres_bin() is not None, ("-o", f"bin={postgres_bin()}")
    ),
}


@dataclass(frozen=True)
class Ran:
    """One call of `kvsim run --json`."""

    status: int
    proof: dict
    stderr: str

    def finding_texts(self) -> str:
        return "\n".join(
            finding["message"] for check in self.proof["checks"] for finding in check["findings"]
        )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may enter, because PostgreSQL refuses to run as root."""
    with tempfile.TemporaryDirectory(prefix="kvsim-real-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def write_scenario(folder: Path) -> Callable[[str], Path]:
    """Write a scenario, whose cluster is called CLUSTER, to a file."""

    def write(text: str) -> Path:
        path = folder / "scenario.yaml"
        path.write_text(text.replace("CLUSTER", str(ROOT / "clusters/power.yaml")))
        return path

    return write


@pytest.fixture
def play(folder: Path) -> Callable[..., Ran]:
    """Run one scenario on one real system: a shipped one by its name, or a file."""

    def call(scenario: str | Path, system: str, *options: str) -> Ran:
        real = SYSTEMS[system]
        if not real.here:
            pytest.skip(
                f"{real.package} is missing: make real-setup, or apt-get install {real.package}"
            )
        words = [
            "run",
            f"scenarios/{scenario}.yaml" if isinstance(scenario, str) else str(scenario),
            "--cluster",
            f"clusters/{system}.yaml",
            "--json",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "kvsim", *words, *real.options, *options, "--out", str(folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return Ran(done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr)

    return call
