"""kvsim is tested: each planted bug is caught by its check, also offline; no process is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kvsim.cli.loading import load_scenarios
from kvsim.folders import find_paths
from kvsim.selftest.bugs_file import Bug, load_bugs
from kvsim.waiting import Deadline, wait_until

ROOT = Path(__file__).parents[2]
BUGS_FILE = load_bugs(ROOT / "nodes/broken/bugs.yaml")


def kvsim(
    *words: object, cwd: Path = ROOT, tmp: Path | None = None
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({"TMPDIR": str(tmp)} if tmp else {}), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "kvsim", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
    )


# Bugs that are seen when a time limit is over.
WAITS = {
    "answers_late",
    "buffers_its_log",
    "deadlocks_after_delete",
    "follower_accepts_after_many",
    "never_answers",
    "never_ready",
    "refuses_after_many",
    "refuses_one_in_many",
}
# Loads of some seconds.
LONG_SCENARIOS = {"connections", "load_plain", "many_keys"}


def is_long(bug: Bug) -> bool:
    """Those of stores that replicate, and those that take long."""
    long_scenario = bug.scenario.stem in LONG_SCENARIOS
    return bug.program.name != "node.yaml" or bug.name in WAITS or long_scenario


def bugs() -> list:
    """All bugs. The first one of each scenario that is not long stands for the others here; these
    are slow tests, and `make selftest` has all of them."""
    first = {bug.scenario: bug for bug in reversed(BUGS_FILE.bugs) if not is_long(bug)}
    quick = {bug.name for bug in first.values()}
    return [
        pytest.param(bug.name, id=bug.name, marks=() if bug.name in quick else pytest.mark.slow)
        for bug in BUGS_FILE.bugs
    ]


@pytest.fixture(scope="module")
def quick_bugs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bugs file, with a short `lag` for the cluster of fixed roles.

    After each write that a follower accepts by mistake, kvsim waits as long as the cluster file
    allows the others to lag.
    """
    folder, broken = tmp_path_factory.mktemp("quick"), BUGS_FILE.path.parent
    fixed_roles = ROOT / "cluster.yaml"
    text = fixed_roles.read_text().replace("kvstore", f"{ROOT}/nodes/kvstore/node.yaml")
    (folder / "cluster.yaml").write_text(f"{text}\nlag: {{within: 200ms}}\n")
    content = yaml.safe_load(BUGS_FILE.path.read_text())
    paths = {"program": broken / "node.yaml", "correct": BUGS_FILE.correct}
    content |= {key: str(path) for key, path in paths.items()}
    content["scenarios"] = str(BUGS_FILE.scenarios)
    for bug in BUGS_FILE.bugs:
        row = content["bugs"][bug.name]
        if "program" in row:
            row["program"] = str(ROOT / bug.program)
        if bug.cluster:
            row["cluster"] = str(ROOT / bug.cluster)
        elif load_scenarios(ROOT / bug.scenario)[0].cluster == fixed_roles:
            row["cluster"] = str(folder / "cluster.yaml")
    (folder / "bugs.yaml").write_text(yaml.safe_dump(content))
    return folder / "bugs.yaml"


@pytest.mark.parametrize("bug", bugs())
def test_a_planted_bug_is_caught_by_its_check_also_offline(bug, tmp_path, quick_bugs_file):
    words = ("--bugs-file", quick_bugs_file, "--json", "--out", tmp_path / "runs")
    done = kvsim("selftest", bug, *words)
    if "need a C compiler" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(done.stdout)["bugs"]
    assert row["result"] == "caught"
    verified = kvsim("verify", row["run_directory"], "--json")
    assert json.loads(verified.stdout)["valid"], verified.stdout


def bugs_file_with(tmp_path: Path, old: str, new: str) -> Path:
    """The bugs file with one change, in another folder."""
    broken, text = BUGS_FILE.path.parent, BUGS_FILE.path.read_text()
    assert old in text
    text = re.sub(r"program: (\w+\.yaml)", rf"program: {broken}/\1", text.replace(old, new))
    text = text.replace("correct: ..", f"correct: {ROOT}/nodes").replace(
        "scenarios: ../..", f"scenarios: {ROOT}"
    )
    (tmp_path / "bugs.yaml").write_text(text)
    return tmp_path / "bugs.yaml"


def test_a_missed_bug_fails_with_the_command_that_repeats_it(tmp_path):
    """The roles scenario restarts nothing, so it cannot show a store that forgets at a restart."""
    check = "check: acknowledged_writes_survive"
    path = bugs_file_with(
        tmp_path, f"a restart, scenario: survives, {check}", f"a restart, scenario: roles, {check}"
    )
    done = kvsim("selftest", "forgets_on_restart", "--bugs-file", path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MISSED" in done.stdout
    assert (
        "the verdict of acknowledged_writes_survive had to be fail; it was not exercised"
        in done.stdout
    )
    assert "-o bug=forgets_on_restart" in done.stdout
    assert done.stdout.endswith("VERDICT: FAIL\n")


def test_a_bug_without_a_module_is_missed(tmp_path):
    """Its program ends at once; that is not what the named check has to find."""
    path = bugs_file_with(tmp_path, "answers_twice:", "no_such_bug:")
    done = kvsim("selftest", "no_such_bug", "--bugs-file", path, "--json")
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
        wait_until(lambda: find_paths(tmp_path, log), Deadline.after(180), "a run to have nodes")
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=180)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["answers_twise"], "did you mean `answers_twice`"),
        (["answers_twice", "--correct"], "not both"),
        (["-j", "0"], "from 1 to"),
        (["--seeds", "0"], "from 1 to"),
        (["--bugs-file", "README.md"], "README.md"),
        (["--bugs-file", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_mistake_prints_one_line_and_exits_with_4(words, hint):
    done = kvsim("selftest", *words)
    assert done.returncode == 4, done.stdout + done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_a_checkout_the_bugs_are_those_that_kvsim_brings_along(tmp_path):
    done = kvsim("selftest", "--list", cwd=tmp_path)
    assert done.returncode == 0 and "two_leaders: " in done.stdout


def test_the_bugs_can_be_listed():
    listed = kvsim("selftest", "--list").stdout
    assert all(f"{bug.name}: {bug.description}" in listed for bug in BUGS_FILE.bugs)


def test_several_seeds_make_one_row_with_a_rate():
    done = kvsim("selftest", "names_wrong_leader", "--seeds", "2", "--json")
    (row,) = json.loads(done.stdout)["bugs"]
    assert (done.returncode, row["good"], row["runs"]) == (0, 2, 2)


def test_storms_are_the_bugs_that_need_faults_or_load():
    listed = kvsim("selftest", "--list", "--storms").stdout
    assert "old_leader_not_fenced" in listed
    assert "two_leaders" not in listed
