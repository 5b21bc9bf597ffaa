"""A small process with the library in it, and the page that tells it what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvsim.faults.preload.build import NotBuilt, library
from kvsim.faults.preload.page import Page


@dataclass
class Inside:
    """Runs programs below the library. `data` is what the page calls the data directory."""

    page: Page
    data: Path
    library: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "LD_PRELOAD": str(self.library), "KVSIM_CONTROL": str(self.page.path)}

    def python(self, code: str) -> str:
        """What a Python program prints; `data` is in its argv, and `tried` tells what becomes of a call."""
        words = [sys.executable, "-c", TRIED + code, str(self.data)]
        return subprocess.run(
            words, env=self.env, capture_output=True, text=True, check=True, timeout=30
        ).stdout

    def program(self, source: str, folder: Path, *flags: str) -> Path:
        """A C program, built."""
        (folder / "program.c").write_text(source)
        built = folder / "program"
        subprocess.run(["cc", "-o", str(built), str(folder / "program.c"), *flags], check=True, timeout=60)
        return built


TRIED = """
import errno, os, sys, threading, time
data = sys.argv[1]
def tried(call, *words):
    try:
        return call(*words)
    except OSError as error:
        return errno.errorcode[error.errno]
"""


@pytest.fixture(scope="session")
def built() -> Path:
    """The library; skips where no compiler is."""
    try:
        return library()
    except NotBuilt as error:
        pytest.skip(str(error))


@pytest.fixture
def inside(tmp_path: Path, built: Path) -> Iterator[Inside]:
    data = tmp_path / "data"
    data.mkdir()
    page = Page(tmp_path / "n1.page", data)
    yield Inside(page, data, built)
    page.close()


@pytest.fixture
def rule() -> Callable[..., dict[str, int]]:
    """The page's fields for a broken disk."""
    from kvsim.faults.disk.rule import Rule

    return lambda how, **more: Rule(how, **more).page()
