"""What a node has to show after a power cut at a moment, and a sweep from one recorded run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.folders import find_paths
from kvsim.process.identity import identify
from kvsim.process.process_tree import Snapshot
from kvsim.runner.power_sweep import WriteSpan, expected_at
from kvsim.waiting import Deadline, wait_until

ROOT = Path(__file__).parents[2]


def test_an_acknowledged_write_has_to_be_there_and_one_under_way_may_be():
    writes = [
        WriteSpan("k", "first", 10, 20),
        WriteSpan("k", "second", 30, 40),
        WriteSpan("j", "unknown", 10, None),
    ]
    assert expected_at(writes, 5, 5) == {}
    assert expected_at(writes, 15, 15)["k"] == {None, "first"}
    assert expected_at(writes, 25, 25)["k"] == {"first"}
    assert expected_at(writes, 25, 35)["k"] == {"first", "second"}
    assert expected_at(writes, 50, 50) == {"k": {"second"}, "j": {None, "unknown"}}


def test_an_unknown_write_may_show_at_any_time_and_a_delete_leaves_nothing():
    writes = [
        WriteSpan("k", "a", 10, None),
        WriteSpan("k", "b", 20, 30),
        WriteSpan("k", None, 40, 50),
    ]
    assert expected_at(writes, 35, 35)["k"] == {"a", "b"}
    assert expected_at(writes, 60, 60)["k"] == {"a", None}


@pytest.mark.slow
@pytest.mark.parametrize(("bug", "status"), [("none", 0), ("acknowledges_before_sync", 1)])
def test_a_sweep_finds_what_a_power_cut_takes(tmp_path, bug, status):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    program = "kvstore" if bug == "none" else str(ROOT / "nodes/broken/node.yaml")
    words = ["sweep", str(ROOT / "scenarios/survives.yaml"), "--program", program]
    words += ["-o", "fsync=always", "--power", "40", "--seed", "1", "--json"]
    words += [] if bug == "none" else ["-o", f"bug={bug}"]
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stderr
    leader, *followers = json.loads(done.stdout)["nodes"]
    assert 5 < leader["tried"] <= leader["made"] < leader["legal"]
    assert bool(leader["findings"]) is bool(status)
    assert all(row["tried"] and not row["reads"] for row in followers)


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_folder_and_no_process(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ["sweep", str(ROOT / "scenarios/survives.yaml"), "-o", "fsync=always"]
    with subprocess.Popen(
        [sys.executable, "-m", "kvsim", *words, "--power", "1000"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as sweep:
        wait_until(
            lambda: find_paths(temporary, "kvsim-power-*/*"), Deadline.after(120), "a first node"
        )
        workers = Snapshot().with_descendants([sweep.pid])
        known = [found for pid in workers if (found := identify(pid)) is not None]
        sweep.kill()

    def is_clean() -> bool:
        return not list(temporary.iterdir()) and not any(process.alive() for process in known)

    wait_until(is_clean, Deadline.after(180), "the workers to end and their folders to be gone")
