"""Small processes with the library in them, and the page that controls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvsim.faults.preload.build import NotBuilt, build_library
from kvsim.faults.preload.shared_memory import SharedPage


@dataclass
class PreloadedPrograms:
    """Runs programs with the library. `data` is the data directory of the page."""

    page: SharedPage
    data: Path
    library: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "LD_PRELOAD": str(self.library), "KVSIM_CONTROL": str(self.page.path)}

    def python(self, code: str) -> str:
        """What a Python program prints.

        It has the variable `data` and the function `result_of`, which calls a function and returns
        its result or the name of its error.
        """
        words = [sys.executable, "-c", PRELUDE + code, str(self.data)]
        return subprocess.run(
            words, env=self.env, capture_output=True, text=True, check=True, timeout=180
        ).stdout

    def start_python(self, code: str) -> subprocess.Popen[str]:
        """As `python`, running, with pipes to it and from it."""
        words = [sys.executable, "-c", PRELUDE + code, str(self.data)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(words, env=self.env, text=True, **pipes)

    def program(self, source: str, folder: Path, *flags: str) -> Path:
        """A C program, built."""
        (folder / "program.c").write_text(source)
        built = folder / "program"
        subprocess.run(
            ["cc", "-o", str(built), str(folder / "program.c"), *flags], check=True, timeout=180
        )
        return built


PRELUDE = """
import errno, os, sys, threading, time
data = sys.argv[1]
def result_of(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
"""


@pytest.fixture(scope="session")
def built() -> Path:
    """The library; skips the test where there is no compiler."""
    try:
        return build_library()
    except NotBuilt as error:
        pytest.skip(str(error))


@pytest.fixture
def preloaded(tmp_path: Path, built: Path) -> Iterator[PreloadedPrograms]:
    data = tmp_path / "data"
    data.mkdir()
    page = SharedPage(tmp_path / "n1.page", data)
    yield PreloadedPrograms(page, data, built)
    page.close()


@pytest.fixture
def rule() -> Callable[..., dict[str, int]]:
    """The page's fields for a broken disk."""
    from kvsim.faults.disk import DiskRule

    return lambda how, **more: DiskRule(how, **more).page_fields()
