"""`kvsim clean`: what earlier runs left, and that nothing else is removed."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import pytest

from kvsim.cli import main
from kvsim.cli.clean import age_s, folders_of
from kvsim.process import procfs
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import Identity
from kvsim.run_directory import new_run
from tests.report.runs import failed_run

DAY_S = 86400


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with two runs, one of them ten days old, and a folder that is no run."""
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    old = failed_run(new_run(runs, "old").path)
    failed_run(new_run(runs, "new").path)
    (runs / "mine").mkdir()
    (runs / "mine/notes.txt").write_text("not kvsim's")
    for path in old.path.rglob("*"):
        before = path.stat().st_mtime - 10 * DAY_S
        os.utime(path, (before, before))
    return tmp_path


def names(folder):
    return sorted(path.name.rpartition("-")[2] for path in folders_of(folder / "runs"))


def test_without_yes_nothing_is_removed(folder, capsys):
    assert main(["clean"]) == 0
    out = capsys.readouterr().out
    assert "2 run directories" in out and "--yes removes them" in out
    assert names(folder) == ["new", "old"]


def test_only_old_runs_are_removed(folder, capsys):
    assert main(["clean", "--older-than", "7d", "--yes"]) == 0
    assert "removed: 1 run directory" in capsys.readouterr().out
    assert names(folder) == ["new"]
    assert (folder / "runs/latest").exists()


def test_what_is_no_run_stays(folder):
    assert main(["clean", "--yes"]) == 0
    assert [path.name for path in (folder / "runs").iterdir()] == ["mine"]


def test_a_run_that_is_being_made_is_not_touched(folder):
    (journal,) = (folder / "runs").glob("*-new/history.jsonl")
    with journal.open("a"):
        assert main(["clean", "--yes"]) == 0
    assert names(folder) == ["new"]


def test_a_process_of_a_run_that_is_over_is_named_and_ended(folder, capsys):
    (meta,) = (folder / "runs").glob("*-new/meta.json")
    tag = "f" * 31 + "0"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "run": tag}))
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(
        command, env={**os.environ, **ProcessTag(tag).variables()}, stdin=subprocess.PIPE
    ) as left:
        assert main(["clean", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert [process["pid"] for process in listed["processes"]] == [left.pid]
        assert left.poll() is None
        entry = procfs.stat(left.pid)
        assert entry
        listed_ticks = entry.start_ticks
        assert main(["clean", "--older-than", "1w", "--yes"]) == 0
        # Whoever reaped it: it is gone.
        assert not Identity(left.pid, listed_ticks, procfs.boot_id()).alive()


def test_without_a_folder_the_message_says_where_runs_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["clean"]) == 4
    assert "runs: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("12h", 43200), ("7d", 7 * DAY_S)])
def test_ages(text, seconds):
    assert age_s(text) == seconds


@pytest.mark.parametrize("text", ["7", "d", "-1d", "7y", "1.5d", ""])
def test_what_is_no_age_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected one like"):
        age_s(text)
