"""`kvsim run` on a scenario with a matrix: every cell, also in parallel, and a table at the end."""

from __future__ import annotations

import json
import shlex
from xml.etree import ElementTree

import pytest

from .conftest import Project

HEAD = 'matrix: {size: [2, 3], outcome: [ok, refused]}\nnodes: "{size}"\n'
STEPS = (
    '- put: {at: leader, key: k, value: v, expect: "{outcome}"}\n'
    "- get: {at: each follower, key: k, expect: served}"
)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_cell_is_run_and_reported(project: Project, jobs: int) -> None:
    project.scenario(STEPS, head=HEAD)
    done = project.run("run", "scenarios/mine.yaml", "-j", jobs, "--seed", 7, "--junit", "out.xml")
    assert done.returncode == 1, done.stderr
    table = done.stdout[done.stdout.index("first deviation") :].splitlines()
    rows = [line.split()[:2] for line in table[1:5]]
    assert rows == [
        ["pass", "mine[size=2-outcome=ok]"],
        ["fail", "mine[size=2-outcome=refused]"],
        ["pass", "mine[size=3-outcome=ok]"],
        ["fail", "mine[size=3-outcome=refused]"],
    ]
    assert "step 1.1 (put at leader): n1: got ok" in table[2]
    assert table[-1] == "4 runs: 2 pass, 2 fail"
    runs = [path for path in sorted(project.folder.glob("runs/*")) if not path.is_symlink()]
    assert len(runs) == 4 and all("-mine-size=" in path.name for path in runs)
    metas = [json.loads((path / "meta.json").read_text()) for path in runs]
    # The seed makes the same draws in every cell.
    assert {meta["seed"] for meta in metas} == {7}
    assert sorted(len(meta["nodes"]) for meta in metas) == [2, 2, 3, 3]
    suites = ElementTree.parse(project.folder / "out.xml").findall("testsuite")
    assert [suite.get("name") for suite in suites] == [row[1] for row in rows]
    assert "--cell size=3 --cell outcome=refused --seed 7" in done.stdout


def test_a_cell_is_selected_and_its_run_can_be_repeated(project: Project) -> None:
    project.scenario(STEPS, head=HEAD)
    words = ("run", "scenarios/mine.yaml", "--cell", "size=2", "--cell", "outcome=ok", "--json")
    done = project.run(*words)
    assert done.returncode == 0, done.stderr
    proof = json.loads(done.stdout)
    assert proof["scenario"] == "mine[size=2-outcome=ok]"
    again = project.run(*shlex.split(proof["repeat_command"])[3:], "--json")
    assert json.loads(again.stdout)["scenario"] == proof["scenario"]
    assert project.run("verify", "runs/latest").returncode == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--cell", "sise=2"), "did you mean `size`?"),
        (("--cell", "size=4"), "size is one of 2, 3"),
        (("-j", "0"), "--jobs: expected a number of runs from 1 to"),
        (("-j", "2", "--attach"), "only one cluster is up"),
        (("--attach",), "mine[size=2-outcome=ok] sets `nodes` itself"),
    ],
)
def test_mistakes_before_anything_is_started(
    project: Project, words: tuple[str, ...], expected: str
) -> None:
    project.scenario(STEPS, head=HEAD)
    done = project.run("run", "scenarios/mine.yaml", *words)
    assert done.returncode == 4
    assert expected in done.stderr
    assert not (project.folder / "runs").exists()


def test_lint_counts_the_cells(project: Project) -> None:
    project.scenario(STEPS, head=HEAD)
    assert "2 steps, 4 cells" in project.run("lint", "scenarios/mine.yaml").stdout
    project.scenario(STEPS, head=HEAD.replace("[2, 3]", "[2, 1]"))
    done = project.run("lint", "scenarios/mine.yaml")
    assert done.returncode == 4
    assert "mine.yaml:9:5: get: target `each follower` matches no node" in done.stderr
