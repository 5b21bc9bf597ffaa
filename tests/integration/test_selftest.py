"""The tester is tested: every planted bug is caught by its named check, offline too, and nothing is left of the runs."""

from __future__ import annotations

import json
import os
import re
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


def bugs() -> list:
    """All of them; those of stores that replicate take seconds each."""
    slow = {True: (), False: pytest.mark.slow}
    return [pytest.param(bug, id=bug.name, marks=slow[bug.program.name == "node.yaml"]) for bug in TABLE.bugs]


@pytest.mark.parametrize("bug", bugs())
def test_a_planted_bug_is_caught_by_its_check_and_again_offline(bug, tmp_path):
    done = kvsim("selftest", bug.name, "--json", "--out", tmp_path / "runs")
    if "need a C compiler" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(done.stdout)["bugs"]
    assert row["result"] == "caught"
    again = kvsim("verify", row["run_directory"], "--json")
    assert json.loads(again.stdout)["stands"], again.stdout


def table_with(tmp_path: Path, old: str, new: str) -> Path:
    """The table with one thing changed, in another folder."""
    broken, text = TABLE.path.parent, TABLE.path.read_text()
    assert old in text
    text = re.sub(r"program: (\w+\.yaml)", rf"program: {broken}/\1", text.replace(old, new))
    text = text.replace("correct: ..", f"correct: {ROOT}/nodes").replace(
        "scenarios: ../..", f"scenarios: {ROOT}"
    )
    (tmp_path / "bugs.yaml").write_text(text)
    return tmp_path / "bugs.yaml"


def test_a_missed_bug_fails_and_says_how_to_see_it(tmp_path):
    """The roles scenario restarts nothing, so it cannot show a store that forgets at a restart."""
    check = "check: acknowledged_writes_survive"
    table = table_with(
        tmp_path, f"a restart, scenario: survives, {check}", f"a restart, scenario: roles, {check}"
    )
    done = kvsim("selftest", "forgets_on_restart", "--table", table)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MISSED" in done.stdout
    assert "acknowledged_writes_survive had to say fail and said not exercised" in done.stdout
    assert "-o bug=forgets_on_restart" in done.stdout  # how to see it again
    assert done.stdout.endswith("VERDICT: FAIL\n")


def test_a_bug_without_a_file_is_missed(tmp_path):
    """Its program ends at once; that is not what the named check has to find."""
    table = table_with(tmp_path, "answers_twice:", "no_such_bug:")
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
    try:
        log = "*/*/nodes/n1/1.log"
        wait_until(lambda: list(tmp_path.glob(log)), Deadline.after(30), "a run to have nodes")
    finally:
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
        (["--seeds", "0"], "at least 1"),
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


def test_several_seeds_are_one_row_with_a_rate():
    done = kvsim("selftest", "two_leaders", "--seeds", "2", "--json")
    (row,) = json.loads(done.stdout)["bugs"]
    assert (done.returncode, row["good"], row["runs"]) == (0, 2, 2)


def test_storms_are_what_needs_faults_or_load():
    listed = kvsim("selftest", "--list", "--storms").stdout
    assert "old_leader_not_fenced" in listed
    assert "two_leaders" not in listed
