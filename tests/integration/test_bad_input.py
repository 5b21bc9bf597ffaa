"""Mistakes of a user: one line each, with its location, exit status 4, nothing started."""

from __future__ import annotations

import itertools

import pytest

GOOD_CLUSTER = """cluster: c
program: kvstore
nodes:
  n1: {role: leader, port: 9001}
  n2: {role: follower, port: 9002}
"""

CLUSTERS = {
    "an unknown key": (
        GOOD_CLUSTER.replace("port: 9002", "prot: 9002"),
        "cluster.yaml:5:",
        "did you mean `port`",
    ),
    "a duplicate node": (
        GOOD_CLUSTER + "  n2: {role: follower, port: 9003}\n",
        "cluster.yaml:6:3",
        "n2",
    ),
    "a duplicate key": (GOOD_CLUSTER + "cluster: again\n", "cluster.yaml:6:1", "cluster"),
    "two leaders": (
        GOOD_CLUSTER.replace("role: follower", "role: leader"),
        "cluster.yaml:",
        "leader",
    ),
    "a port twice": (GOOD_CLUSTER.replace("9002", "9001"), "cluster.yaml:5:", "9001"),
    "a missing program": (
        GOOD_CLUSTER.replace("kvstore", "no-such-store"),
        "cluster.yaml:2:",
        "no-such-store",
    ),
    "an empty file": ("", "cluster.yaml", "empty"),
    "a list instead of a mapping": ("- a\n- b\n", "cluster.yaml:1:1", "mapping"),
    "a number as role": (
        GOOD_CLUSTER.replace("role: leader", "role: 012"),
        "cluster.yaml:4:",
        "012",
    ),
    "a bare no": (GOOD_CLUSTER.replace("role: leader", "role: no"), "cluster.yaml:4:", "no"),
}


# All three read the file in the same way; each mistake is shown to one of them.
READERS = (["up"], ["run", "scenarios/roles.yaml"], ["lint", "scenarios/roles.yaml"])


@pytest.mark.parametrize(
    ("mistake", "command"), list(zip(CLUSTERS, itertools.cycle(READERS), strict=False)), ids=str
)
def test_a_mistake_in_the_cluster_file_has_its_location(project, root, mistake, command):
    text, location, hint = CLUSTERS[mistake]
    project.write(
        "cluster.yaml", text.replace("program: kvstore", f"program: {root}/nodes/kvstore/node.yaml")
    )
    done = project.run(*command)
    assert done.returncode == 4, done.stdout + done.stderr
    assert location in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.folder / "runs").exists()


SCENARIO = """scenario: s
title: t
cluster: ../cluster.yaml
vars: {k: random_key}
steps:
  - put: {at: leader, key: "{k}", value: v}
"""

SCENARIOS = {
    "an unknown verb": (SCENARIO.replace("- put:", "- putt:"), "s.yaml:6:5", "did you mean `put`"),
    "an unknown node": (SCENARIO.replace("at: leader", "at: n9"), "s.yaml:6:", "n9"),
    "an unknown variable": (SCENARIO.replace('"{k}"', '"{q}{k}"'), "s.yaml:6:", "{q}"),
    "two verbs in one step": (
        SCENARIO.replace("value: v}", "value: v}\n    get: {at: leader, key: k}"),
        "s.yaml:",
        "one",
    ),
    "a missing cluster file": (
        SCENARIO.replace("../cluster.yaml", "../gone.yaml"),
        "gone.yaml",
        "gone.yaml",
    ),
    "an unknown check": (SCENARIO + "checks: [exit_clean]\n", "s.yaml:7:", "exits_clean"),
    "a duplicate key": (SCENARIO + "title: again\n", "s.yaml:7:1", "title"),
    "an unknown expectation": (
        SCENARIO.replace("value: v}", "value: v, expect: fine}"),
        "s.yaml:6:",
        "fine",
    ),
}


@pytest.mark.parametrize("mistake", SCENARIOS, ids=str)
def test_a_mistake_in_a_scenario_has_its_location(project, mistake):
    text, location, hint = SCENARIOS[mistake]
    project.write("scenarios/s.yaml", text)
    done = project.run("run", "scenarios/s.yaml")
    assert done.returncode == 4, done.stdout + done.stderr
    assert location in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.folder / "runs").exists()


def test_all_mistakes_of_all_files_are_reported_at_once(project):
    project.write(
        "scenarios/a.yaml", SCENARIO.replace("- put:", "- putt:").replace("title: t", "titel: t")
    )
    project.write("scenarios/b.yaml", SCENARIO.replace("at: leader", "at: n9"))
    done = project.run("lint", "scenarios/a.yaml", "scenarios/b.yaml")
    assert done.returncode == 4
    lines = done.stderr.splitlines()
    assert sum("a.yaml" in line for line in lines) >= 2
    assert sum("b.yaml" in line for line in lines) == 1


def test_a_binary_file_is_not_a_scenario(project):
    (project.folder / "scenarios/s.yaml").write_bytes(bytes(range(256)))
    done = project.run("run", "scenarios/s.yaml")
    assert done.returncode == 4
    assert "s.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_values_stay_the_author_s_text(project):
    steps = "\n".join(
        f"- put: {{at: leader, key: {word}, value: {word}}}\n- get: {{at: leader, key: {word}, "
        f"expect: {{value: {word}}}}}"
        for word in ("on", "no", "012", "12:30:00", "1e3", "null")
    )
    run = project.run("run", project.scenario(steps))
    assert run.returncode == 0, run.stdout
    assert "GET 012  →  VALUE 012" in project.latest.joinpath("proof.txt").read_text()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rnu"], "did you mean `run`"),
        (["run"], "which scenario?"),
        (["run", "scenarios/roles.yaml", "--sede", "1"], "--sede"),
        (["run", "gone.yaml"], "gone.yaml"),
        (["run", "scenarios/roles.yaml", "-o", "fsync"], "NAME=VALUE"),
        (["verify", "nowhere"], "no such run"),
        (["verify", "."], "not a run directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_on_the_command_line_is_explained(project, words, hint):
    done = project.run(*words)
    assert done.returncode == 4
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("start", "hint"),
    [
        ('["./gone", "{port}"]', "there is no file"),
        ('["./plain.txt", "{port}"]', "not executable"),
        ('["./folder", "{port}"]', "there is no file"),
    ],
)
def test_a_program_that_cannot_be_started_is_named(project, start, hint):
    project.write("plain.txt", "not a program")
    project.write("folder/file", "")
    requests = "{put: 'PUT {key} {value}', get: 'GET {key}', delete: 'DELETE {key}'}"
    project.write(
        "node.yaml", f"program: odd\nstart: {start}\nrequests: {requests}\ncapabilities: [roles]\n"
    )
    done = project.run("run", "scenarios/roles.yaml", "--program", "./node.yaml")
    assert done.returncode == 4, done.stdout + done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_used_is_named_and_never_touched(project):
    project.write(".kvsim", "a file of the user's own")
    up = project.run("up")
    assert up.returncode == 4
    assert ".kvsim" in up.stderr
    assert "Traceback" not in up.stderr
    project.write("taken", "a file")
    run = project.run("run", "scenarios/roles.yaml", "--out", "taken/runs")
    assert run.returncode == 4
    assert "argument --out: taken/runs cannot be written" in run.stderr
    (project.folder / ".kvsim").unlink()
    project.write(".kvsim/mine.txt", "precious")
    project.run("up")
    project.run("down")
    assert (project.folder / ".kvsim/mine.txt").read_text() == "precious"
