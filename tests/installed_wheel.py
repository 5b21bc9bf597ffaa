"""kvsim as users get it: the wheel in a new environment, called from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What the wheel is built from.
SOURCES = ("kvsim", "nodes", "scenarios", "clusters", "cluster.yaml")
TEXTS = ("pyproject.toml", "README.md", "LICENSE")
TIMEOUT_S = 300


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that finds no module of the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def run_checked(*command: str | Path, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, built from a source distribution of the checkout.

    The packages that kvsim depends on are those of the checkout's environment. Other users may
    read it.
    """
    folder = tmp_path_factory.mktemp("wheel")
    for part in (folder, *folder.parents[:2]):
        part.chmod(0o755)
    source, venv = folder / "source", folder / "venv"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in (*SOURCES, *TEXTS):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    build = (sys.executable, "-m", "hatchling", "build", "-d", folder)
    run_checked(*build, "-t", "sdist", cwd=source)
    (sdist,) = folder.glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--no-index")
    run_checked(*pip, "wheel", *options, "-w", folder, sdist, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run_checked(sys.executable, "-m", "venv", "--without-pip", venv, cwd=folder)
    run_checked(*pip, "--python", venv, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (site_packages,) = venv.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv
