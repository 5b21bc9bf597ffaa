"""`kvsim grade` as a teacher calls it: points, files, proofs that stand, known stores inside, mistakes."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def test_points_files_and_proofs(school):
    school.plan(
        "scenarios:\n  - {file: roles.yaml, points: 10, runs: 2}\n  - {file: reads.yaml, points: 5, hidden: true, partial: steps}"
    )
    school.submission("alice")
    school.submission("bob", "exit 3", serves=False)
    (school.folder / "secret").write_text("a term's secret\n")
    grades = school.grades("--secret", "secret")
    assert {name: one["points"] for name, one in grades.items()} == {"alice": 15, "bob": 0}
    out = school.folder / "out"
    rows = list(csv.DictReader((out / "grades.csv").read_text().splitlines()))
    assert [(row["submission"], row["points"], row["roles"], row["reads"]) for row in rows] == [
        ("alice", "15", "10", "5"),
        ("bob", "0", "0", "0"),
    ]
    assert json.loads((out / "alice/results.json").read_text())["score"] == 15
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


@pytest.mark.usefixtures("own_room")
def test_a_known_store_that_runs_inside_is_seen_whatever_it_is_called(school):
    school.plan("scenarios: [{file: roles.yaml, points: 10}]\ninside: zero")
    sleep = shutil.which("sleep")
    folder = school.submission("borrowed", '"$here/mine" 5 &')
    (folder / "mine").write_bytes(Path(sleep).read_bytes() + b"\0redis_version:%s\0")
    (folder / "mine").chmod(0o755)
    copy = 'mkdir /tmp/$$ && cp "$(command -v sleep)" /tmp/$$/redis-server && /tmp/$$/redis-server 5 &'
    school.submission("named", copy)
    grades = school.grades()
    assert grades["borrowed"]["points"] == 0
    assert "mine holds texts of redis" in grades["borrowed"]["suspicions"]
    assert any("which ran" in line for line in grades["borrowed"]["suspicions"])
    assert grades["named"]["suspicions"] == ["redis ran: redis-server"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plan", "nowhere.yaml"), "nowhere.yaml"),
        (("--only", "carol"), "no such folder"),
        (("-j", "0"), "at least 1"),
    ],
)
def test_mistakes_are_said_before_anything_runs(school, words, said):
    school.submission("alice")
    done = school.grade(*words)
    assert done.returncode == 4
    assert said in done.stderr
    assert not (school.folder / "out").exists()


def test_a_folder_without_submissions_is_a_mistake(school):
    (school.folder / "subs").mkdir()
    assert "no submission is in it" in school.grade().stderr


def test_a_matrix_is_graded_cell_by_cell(school):
    """Wherever a scenario and its cluster stand: what a run in the room is given stands alone."""
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
    (marks,) = school.grades()["alice"]["scenarios"]
    assert (marks["points"], len(marks["runs"])) == (10, 4)
    seen = set()
    for one in marks["runs"]:
        run = school.folder / "out/alice" / one["run"]
        meta = json.loads((run / "meta.json").read_text())
        seen.add((meta["scenario"], len(meta["nodes"]), meta["seed"]))
    assert {(name, nodes) for name, nodes, _ in seen} == {("roles", 2), ("roles", 3)}
    assert len({seed for _, _, seed in seen}) == 2  # one a run, the same for all cells
