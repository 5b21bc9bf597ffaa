"""`kvsim lint` on every kind of file: mistakes with their location, and nothing is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Project

PLAN = (
    "plan: term\nprogram: mine.yaml\n"
    "scenarios:\n  - {file: scenarios/roles.yaml, points: 10, runs: 2}\n"
)
PROGRAM = (
    "program: sub\nlike: {root}/nodes/kvstore\n"
    "start: [./kvstore, '--port={{port}}', '--role={{role}}']\n"
)
BUGS = """program: {root}/nodes/broken/node.yaml
correct: {root}/nodes/kvstore
scenarios: scenarios
bugs:
  dies_on_put:
    description: it dies
    scenario: roles
    check: nodes_stay_up
    options: {{fsync: never}}
"""


@pytest.fixture
def files(project: Project, root: Path) -> Project:
    project.write("mine.yaml", PROGRAM.format(root=root))
    project.write("kvstore", "#!/bin/sh\n").chmod(0o755)
    project.write("plan.yaml", PLAN)
    project.write("bugs.yaml", BUGS.format(root=root))
    return project


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plan.yaml", "plan term, 1 scenarios, 2 runs for each submission, 10 points"),
        ("bugs.yaml", "file of 1 planted bugs"),
        ("mine.yaml", "program sub"),
        ("cluster.yaml", "cluster three, 3 nodes"),
    ],
)
def test_a_correct_file_prints_one_line(files: Project, name: str, expected: str) -> None:
    done = files.run("lint", name)
    assert (done.returncode, done.stdout) == (0, f"{name}: {expected}\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (
            "plan.yaml",
            "points: 10",
            "point: 10",
            'plan.yaml:4:34: scenarios: unknown key "point"; did you mean `points`?',
        ),
        ("plan.yaml", "roles.yaml", "rolse.yaml", "did you mean `roles.yaml`?"),
        (
            "plan.yaml",
            "scenarios/roles.yaml",
            '""',
            'plan.yaml:4:12: scenarios.file: expected a scenario file, found ""',
        ),
        (
            "plan.yaml",
            "mine.yaml",
            '""',
            'plan.yaml:2:10: program: expected a path to a node.yaml, found ""',
        ),
        (
            "plan.yaml",
            "mine.yaml",
            "mime.yaml",
            'plan.yaml:2:10: program: no file "mime.yaml"; did you mean `mine.yaml`?',
        ),
        (
            "bugs.yaml",
            "description",
            "descripton",
            'unknown key "descripton"; did you mean `description`?',
        ),
        ("bugs.yaml", "scenario: roles", "scenario: rolse", "did you mean `roles`?"),
        ("bugs.yaml", "nodes_stay_up", "node_stays_up", "did you mean `nodes_stay_up`?"),
        (
            "bugs.yaml",
            "fsync",
            "fsnc",
            "bugs.yaml:9:15: no program here has an option `fsnc`; did you mean `fsync`?",
        ),
        ("mine.yaml", "program: sub", "neither: sub", "mine.yaml:1:1: "),
    ],
)
def test_mistakes_have_their_location_and_a_fix(
    files: Project, name: str, old: str, new: str, expected: str
) -> None:
    file = files.folder / name
    file.write_text(file.read_text().replace(old, new))
    done = files.run("lint", name)
    assert done.returncode == 4
    assert expected in done.stderr
    assert done.stderr.startswith(f"{name}:")


def test_a_file_of_unknown_kind_names_the_known_kinds(project: Project) -> None:
    project.write("x.yaml", "a: 1\n")
    done = project.run("lint", "x.yaml")
    assert done.returncode == 4
    assert (
        "x.yaml:1:1: not a file that kvsim reads: it has none of" in done.stderr
        and "a grading plan" in done.stderr
    )


@pytest.mark.parametrize("kind", ["scenario", "cluster", "program", "plan", "bugs"])
def test_every_kind_has_a_schema_for_editors(project: Project, kind: str) -> None:
    schema = json.loads(project.run("schema", kind).stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
