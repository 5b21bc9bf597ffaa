"""`kvsim grade` as a teacher calls it: points, files, valid proofs, known stores, mistakes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest


def test_points_files_and_proofs(school):
    school.plan(
        "scenarios:\n  - {file: roles.yaml, points: 10, runs: 2}\n"
        "  - {file: reads.yaml, points: 5, hidden: true, partial: steps}"
    )
    school.submission("alice")
    school.submission("bob", "exit 3", serves=False)
    (school.folder / "secret").write_text("a term's secret\n")
    grades = school.grades("--secret", "secret")
    assert {name: grade["points"] for name, grade in grades.items()} == {"alice": 15, "bob": 0}
    out = school.folder / "out"
    rows = list(csv.DictReader((out / "grades.csv").read_text().splitlines()))
    assert [(row["submission"], row["points"], row["roles"], row["reads"]) for row in rows] == [
        ("alice", "15", "10", "5"),
        ("bob", "0", "0", "0"),
    ]
    assert json.loads((out / "alice/results.json").read_text())["score"] == 15
    assert rows[1]["why"] == "roles, reads: node n1 exited with status 3 before it was ready"
    report = (out / "bob/report.txt").read_text()
    assert report.startswith("bob: 0 of 15 points\n")
    assert "look at   how the program starts" in report
    hidden = json.loads((out / "bob/results.json").read_text())["tests"][1]
    assert hidden["name"] == "hidden scenario 2" and "withheld" in hidden["output"]
    runs = [run["run"] for scenario in grades["alice"]["scenarios"] for run in scenario["runs"]]
    assert len(set(runs)) == 3
    seeds = set()
    for run in runs:
        verify = subprocess.run(
            [sys.executable, "-m", "kvsim", "verify", run], capture_output=True, text=True
        )
        assert verify.returncode == 0, verify.stdout
        seeds.add(json.loads((out / "alice" / run / "meta.json").read_text())["seed"])
    assert len(seeds) == 3
    assert out.stat().st_mode & 0o777 == 0o700
    assert school.grade().returncode == 4  # never over grades that are there


@pytest.mark.usefixtures("sandboxed")
def test_a_known_store_that_runs_in_a_submission_is_found_under_any_name(school):
    school.plan("scenarios: [{file: roles.yaml, points: 10}]\nknown_store: zero")
    sleep = shutil.which("sleep")
    folder = school.submission("borrowed", '"$here/mine" 5 &')
    (folder / "mine").write_bytes(Path(sleep).read_bytes() + b"\0redis_version:%s\0")
    (folder / "mine").chmod(0o755)
    copy = (
        'mkdir /tmp/$$ && cp "$(command -v sleep)" /tmp/$$/redis-server && /tmp/$$/redis-server 5 &'
    )
    school.submission("named", copy)
    grades = school.grades()
    assert grades["borrowed"]["points"] == 0
    assert "mine holds texts of redis" in grades["borrowed"]["suspicions"]
    assert any("which ran" in line for line in grades["borrowed"]["suspicions"])
    assert grades["named"]["suspicions"] == ["redis ran: redis-server"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--plan", "nowhere.yaml"), "nowhere.yaml"),
        (("--only", "carol"), "no such folder"),
        (("-j", "0"), "from 1 to"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(school, words, message):
    school.submission("alice")
    done = school.grade(*words)
    assert done.returncode == 4
    assert message in done.stderr
    assert not (school.folder / "out").exists()


def test_a_folder_without_submissions_is_a_mistake(school):
    (school.folder / "subs").mkdir()
    assert "no submission is in it" in school.grade().stderr


@pytest.mark.slow
def test_a_matrix_is_graded_cell_by_cell(school):
    """A run in the sandbox gets self-contained files, for scenarios in any folder."""
    (school.folder / "deep").mkdir()
    text = (
        (school.folder / "roles.yaml")
        .read_text()
        .replace("cluster: cluster.yaml", "cluster: ../cluster.yaml")
    )
    text = text.replace("\nsteps:", '\nmatrix: {size: [2, 3]}\nnodes: "{size}"\nsteps:')
    (school.folder / "deep/roles.yaml").write_text(text)
    school.plan("scenarios: [{file: deep/roles.yaml, points: 10, runs: 2}]")
    school.submission("alice")
    (score,) = school.grades()["alice"]["scenarios"]
    assert (score["points"], len(score["runs"])) == (10, 4)
    runs = set()
    for each in score["runs"]:
        run = school.folder / "out/alice" / each["run"]
        meta = json.loads((run / "meta.json").read_text())
        runs.add((meta["scenario"], len(meta["nodes"]), meta["seed"]))
    assert {(name, nodes) for name, nodes, _ in runs} == {("roles", 2), ("roles", 3)}
    assert len({seed for _, _, seed in runs}) == 2  # one a run, the same for all cells


@pytest.mark.slow
def test_a_plan_is_tried_before_the_first_submission(school):
    school.plan("scenarios: [{file: reads.yaml, points: 5}]")
    solutions = school.submission("mine").parent
    done = school.check(str(solutions), "--out", "checked")
    assert done.returncode == 1, done.stderr
    assert "a broken store gets all points (its follower accepts PUT)" in done.stdout
    assert "the reference store" in done.stdout
    assert "not tried" not in done.stdout
    assert (school.folder / "checked/solutions/mine/report.txt").is_file()
    school.plan("scenarios: [{file: roles.yaml, points: 5}]")
    done = school.check()
    assert done.returncode == 0, done.stdout
    assert "good: the plan gives a correct store all points, and a broken one not" in done.stdout
    assert "not tried: `program` and `build`" in done.stdout


def test_grading_needs_submissions(school):
    done = school.run("grade", "--plan", "plan.yaml")
    assert done.returncode == 4
    assert "name a folder with one folder for each submission" in done.stderr


@pytest.mark.slow
def test_a_folder_whose_name_is_no_utf8_loses_nobodys_grades(school):
    beatrice = os.fsdecode(b"b\xe9atrice")
    for name in ("alice", beatrice, "=cmd"):
        school.submission(name)
    done = subprocess.run(school.words(), cwd=school.folder, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    out = school.folder / "out"
    grades = json.loads((out / "grades.json").read_text(encoding="utf-8"))["grades"]
    assert {grade["submission"]: grade["points"] for grade in grades} == {
        "alice": 10,
        beatrice: 10,
        "=cmd": 10,
    }
    table = (out / "grades.csv").read_text(encoding="utf-8")
    assert all(name in table for name in ("alice", "b\\udce9atrice", "'=cmd")), table
    suites = ElementTree.parse(out / "junit.xml").getroot().findall("testsuite")
    assert len(suites) == 3
    for name in (b"alice", b"b\xe9atrice", b"=cmd"):
        results = Path(os.fsdecode(os.fsencode(out) + b"/" + name)) / "results.json"
        assert json.loads(results.read_text(encoding="utf-8"))["score"] == 10
