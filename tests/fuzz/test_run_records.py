"""Random edits of every file of a recorded run: no command that reads runs breaks, and verify is
never content. The seed is the parameter of the test. The default of the slow test is a share;
KVSIM_FUZZ_EDITS=600 makes more.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.checks.workload_checks import report_of
from kvsim.cli.logs import RunLogs
from kvsim.cli.run_results import verify_all
from kvsim.errors import KvsimError
from kvsim.history.run_record import RunRecord
from kvsim.logs.merge import dump
from kvsim.report.run_list import list_page
from kvsim.report.write import write_reports
from kvsim.run_directory import RunDirectory
from tests.integration.forgeries import redo_digests
from tests.integration.test_verify import SCENARIO, kvsim

SHORT, LONG = 20, int(os.environ.get("KVSIM_FUZZ_EDITS", "200"))
# What is put somewhere into a file.
PIECES = [b"", b"\0", b"\n", b"\xff\xfe", b'"', b"{", b"[]", b"null", b"NaN", b"1e999", b"-1"]
PIECES += [b"9" * 40, b'"\\ud800"', b"::error::x", b"\x1b[2J", b"../../etc/passwd", b"true"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "storm.yaml").write_text(SCENARIO.format(root=root))
    finished = kvsim("run", "storm.yaml", "--out", "runs", folder=folder)
    assert finished.returncode in (0, 2), finished.stdout + finished.stderr
    return (folder / "runs/latest").resolve()


def edit_bytes(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data) + 1)
    end = min(len(data), begin + rng.choice([0, 1, 1, 5, 100, len(data)]))
    return data[:begin] + rng.choice(PIECES) + data[end:]


def edit_value(data: bytes, rng: random.Random) -> bytes:
    """Of a file of JSON lines or JSON: replace one value by one of another kind."""
    lines = data.splitlines(keepends=True)
    number = rng.randrange(len(lines))
    text = lines[number]
    places = [place for place, byte in enumerate(text) if byte in b':[,"']
    if not places:
        return edit_bytes(data, rng)
    place = rng.choice(places) + 1
    end = next((at for at in range(place, len(text)) if text[at : at + 1] in b',}]"'), len(text))
    lines[number] = text[:place] + rng.choice(PIECES) + text[end:]
    return b"".join(lines)


EDITS: list[Callable[[bytes, random.Random], bytes]] = [edit_bytes, edit_value, edit_value]


def content(run: Path) -> dict[str, bytes | None]:
    """By path; None for what is not a file."""
    found = ((str(path.relative_to(run)), path) for path in run.rglob("*"))
    return {name: path.read_bytes() if path.is_file() else None for name, path in found}


def edit(run: Path, rng: random.Random) -> str:
    """Edit one file; what was done."""
    names = [str(path.relative_to(run)) for path in sorted(run.rglob("*")) if path.is_file()]
    name = rng.choice(names)
    path = run / name
    kind = rng.randrange(12)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.unlink()
        os.mkfifo(path)
    elif kind == 2:
        path.unlink()
        path.mkdir()
    else:
        before = path.read_bytes()
        after = rng.choice(EDITS)(before, rng)
        if after == before:
            after += b"x"
        path.write_bytes(after)
    if rng.random() < 0.7:
        try:
            redo_digests(run)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return f"{name}, edit {kind}"
    return f"{name}, edit {kind}, digests redone"


READERS: dict[str, Callable[[Path], object]] = {
    "check": lambda run: report_of(RunRecord.load(RunDirectory(run))),
    "report": lambda run: write_reports(RunDirectory(run)),
    "logs": lambda run: list(dump(RunLogs(run).logs(), RunLogs(run).arrivals())),
    "serve": lambda run: list_page(run.parent),
}


def try_one(recorded: Path, folder: Path, seed: str) -> None:
    rng = random.Random(seed)
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(recorded, run)
    done = edit(run, rng)
    if content(run) == content(recorded):
        # An edited digest was redone.
        return
    try:
        problems = verify_all(RunDirectory(run)).problems
    except KvsimError as error:
        problems = [str(error)]
    assert problems, f"seed {seed}: {done}: verify is content"
    for name, read in READERS.items():
        try:
            read(run)
        except KvsimError as error:
            assert "\n" not in str(error), f"seed {seed}: {done}: {name}: more than one line"
        except Exception as error:
            raise AssertionError(f"seed {seed}: {done}: {name} broke") from error


@pytest.mark.parametrize("seed", range(SHORT))
def test_an_edited_run_breaks_nothing(recorded, tmp_path, seed):
    try_one(recorded, tmp_path, str(seed))


@pytest.mark.slow
def test_many_edited_runs_break_nothing(recorded, tmp_path):
    first = json.loads((recorded / "meta.json").read_text())["seed"]
    for seed in range(LONG):
        try_one(recorded, tmp_path, f"{first}:{seed}")
