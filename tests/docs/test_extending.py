"""docs/extending.md is true: each file of the page is found, and each command prints what it says.

The page is followed in a copy of the checkout, from its beginning to its end. A line of the page
matches a line of the output if they differ in numbers only; `…` stands for any text.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/extending.md"
COPIED = ("kvsim", "nodes", "scenarios", "cluster.yaml")
KVSIM = f'#!/bin/sh\nexec "{sys.executable}" -m kvsim "$@"\n'
# A file with its name above it, or a console session.
BLOCK = re.compile(
    r"^`(?P<path>[^`\n]+)`:\n\n```\w+\n(?P<file>.*?)^```$|^```console\n(?P<console>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
COMMAND_TIMEOUT_S = 180


def blocks() -> Iterator[re.Match[str]]:
    return BLOCK.finditer(PAGE.read_text(encoding="utf-8"))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, with a command `kvsim` in bin/."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / name)
    command = tmp_path / "bin/kvsim"
    command.parent.mkdir()
    command.write_text(KVSIM)
    command.chmod(0o755)
    return tmp_path


def output_of(command: str, checkout: Path) -> str:
    """What one line prints: standard output and standard error."""
    environment = {
        **os.environ,
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(checkout),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    return done.stdout


def pattern_of(line: str) -> str:
    """A line of the page as a regular expression."""
    return re.sub(r"\d+", r"\\d+", re.escape(line)).replace("…", ".*")


def assert_printed(lines: list[str], output: str) -> None:
    """The lines of the page stand in the output, in their order."""
    remaining = iter(output.splitlines())
    for line in lines:
        found = any(re.fullmatch(pattern_of(line), printed) for printed in remaining)
        assert found, f"the page says {line!r}; printed was:\n{output}"


@pytest.mark.slow
def test_every_file_of_the_page_is_found_and_does_what_the_page_says(checkout: Path) -> None:
    for block in blocks():
        if block["path"]:
            path = checkout / block["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["file"], encoding="utf-8")
            continue
        for session in re.split(r"^\$ ", block["console"], flags=re.MULTILINE)[1:]:
            command, *lines = session.splitlines()
            assert lines, f"{command}: the page does not say what it prints"
            assert_printed(lines, output_of(command, checkout))


def test_the_page_adds_one_of_each_kind() -> None:
    folders = [Path(block["path"]).parent for block in blocks() if block["path"]]
    added = [str(folder) for folder in folders if folder.parts[:1] == ("kvsim",)]
    assert added == [
        "kvsim/faults",
        "kvsim/checks/run_record",
        "kvsim/doctor/diagnostics",
        "kvsim/runner/steps",
        "kvsim/client/protocols",
        "kvsim/launcher/probes",
    ]


@pytest.mark.slow
def test_the_code_of_the_page_has_strict_types(checkout: Path) -> None:
    modules = []
    for block in blocks():
        if block["path"] and block["path"].startswith("kvsim/"):
            (checkout / block["path"]).write_text(block["file"], encoding="utf-8")
            modules.append(block["path"])
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", ".mypy_cache", *modules],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
