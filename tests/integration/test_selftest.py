"""The tester is tested: every planted bug is caught by its named check, offline too, and nothing is left of the runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.selftest.table import load_table
from kvsim.waiting import Deadline, wait_until

ROOT = Path(__file__).parents[2]
TABLE = load_table(ROOT / "nodes/broken/bugs.yaml")


def kvsim(*words: object, cwd: Path = ROOT, tmp: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({"TMPDIR": str(tmp)} if tmp else {}), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "kvsim", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
    )


@pytest.mark.parametrize("bug", TABLE.bugs, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught_by_its_check_and_again_offline(bug, tmp_path):
    done = kvsim("selftest", bug.name, "--json", "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(done.stdout)["bugs"]
    assert row["result"] == "caught"
    again = kvsim("verify", row["run_directory"], "--json")
    assert json.loads(again.stdout)["stands"], again.stdout


def test_a_missed_bug_fails_and_says_how_to_see_it(tmp_path):
    text = TABLE.path.read_text().replace("program: node.yaml", f"program: {ROOT}/nodes/broken/node.yaml")
    text = text.replace("../../scenarios", str(ROOT / "scenarios")).replace(
        "../kvstore", str(ROOT / "nodes/kvstore")
    )
    # the roles scenario restarts nothing, so it cannot show this one
    table = tmp_path / "bugs.yaml"
    table.write_text(
        text.replace(
            "scenario: survives, check: acknowledged_writes_survive",
            "scenario: roles, check: acknowledged_writes_survive",
        )
    )
    done = kvsim("selftest", "forgets_on_restart", "--table", table)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MISSED" in done.stdout
    assert "acknowledged_writes_survive had to say fail and said not exercised" in done.stdout
    assert "-o bug=forgets_on_restart" in done.stdout  # how to see it again
    assert done.stdout.endswith("VERDICT: FAIL\n")


def test_a_correct_store_that_is_called_broken_is_a_missed_bug_not_a_crash(tmp_path):
    """`none` is no bug: the program ends at once. The row says that it was not caught by the check that was named."""
    text = TABLE.path.read_text().replace("program: node.yaml", f"program: {ROOT}/nodes/broken/node.yaml")
    text = text.replace("../../scenarios", str(ROOT / "scenarios")).replace("answers_twice:", "no_such_bug:")
    table = tmp_path / "bugs.yaml"
    table.write_text(text)
    done = kvsim("selftest", "no_such_bug", "--table", table, "--json")
    (row,) = json.loads(done.stdout)["bugs"]
    assert (done.returncode, row["result"]) == (1, "missed")


def test_nothing_is_left_behind(tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    before = set(ROOT.glob("runs/*"))
    assert kvsim("selftest", "dies_on_put", "leaves_child_holding_port", tmp=folder).returncode == 0
    assert list(folder.iterdir()) == []
    assert {path for path in set(ROOT.glob("runs/*")) - before if "selftest" in path.name} == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_runs_and_leaves_nothing(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "kvsim", "selftest", "-j", "3"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    wait_until(
        lambda: list(tmp_path.glob("*/runs/*/nodes/n1/1.log")), Deadline.after(30), "a run to have nodes"
    )
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["answers_twise"], "did you mean `answers_twice`"),
        (["answers_twice", "--correct"], "not both"),
        (["-j", "0"], "at least 1"),
        (["--table", "README.md"], "README.md"),
        (["--table", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_mistake_is_one_line_and_exit_4(words, hint):
    done = kvsim("selftest", *words)
    assert done.returncode == 4, done.stdout + done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_a_checkout_it_says_what_it_looks_for(tmp_path):
    done = kvsim("selftest", cwd=tmp_path)
    assert done.returncode == 4
    assert "nodes/broken/bugs.yaml" in done.stderr


def test_the_bugs_can_be_listed():
    listed = kvsim("selftest", "--list").stdout
    assert all(f"{bug.name}: {bug.says}" in listed for bug in TABLE.bugs)
