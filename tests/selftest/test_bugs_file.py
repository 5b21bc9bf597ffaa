"""The file of planted bugs is complete: each bug has a module, a check and a scenario."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kvsim.checks.registry import CHECKS
from kvsim.checks.workload_checks import NAMES as WORKLOAD_CHECKS
from kvsim.cli.loading import load_cluster, load_scenario
from kvsim.config.needs import meets
from kvsim.errors import FileProblems, UsageError
from kvsim.selftest.bugs_file import find_bugs_file, load_bugs

ROOT = Path(__file__).parents[2]
BROKEN = ROOT / "nodes/broken"
BUGS_FILE = load_bugs(BROKEN / "bugs.yaml")


def test_every_bug_has_a_module_and_every_module_is_listed():
    files = {path.stem for path in (BROKEN / "bugs").glob("*.py")} - {"__init__"}
    assert {bug.name for bug in BUGS_FILE.bugs} == files


@pytest.mark.parametrize("bug", BUGS_FILE.bugs, ids=lambda bug: bug.name)
def test_a_bug_can_be_caught_by_its_check(bug):
    assert bug.check in {*CHECKS, *WORKLOAD_CHECKS}
    scenario = load_scenario(ROOT / bug.scenario)
    cluster = load_cluster(
        ROOT / bug.cluster if bug.cluster else scenario.cluster,
        str(ROOT / bug.program),
        {"bug": bug.name, **bug.options},
    )
    assert {node.program.name.split("-")[0] for node in cluster.nodes} == {"broken"}
    program = cluster.nodes[0].program
    assert [need for need in scenario.needs if not meets(program, need)] == []


@pytest.mark.parametrize(
    "path", sorted((BROKEN / "bugs").glob("[a-z]*.py")), ids=lambda path: path.stem
)
def test_a_bug_is_a_small_documented_module(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= 60, (
        "a bug changes one piece; move what it needs to overrides.py"
    )
    assert any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body)


def test_the_broken_store_starts_like_the_reference_store():
    cluster = load_cluster(ROOT / "cluster.yaml")
    broken = load_cluster(ROOT / "cluster.yaml", str(BROKEN / "node.yaml"), {"bug": "none"})
    for one, other in zip(cluster.nodes, broken.nodes, strict=True):
        right, planted = one.program.start[one.role], other.program.start[other.role]
        assert planted[:3] == right[:3]
        assert planted[4] == "{bug}"
        assert planted[5:] == right[4:], (
            "nodes/broken/node.yaml has to say `start` as nodes/kvstore/node.yaml does"
        )


def test_the_file_is_found_from_a_folder_below():
    assert find_bugs_file(ROOT / "nodes/kvstore") == BROKEN / "bugs.yaml"


def test_a_missing_file_is_reported_with_the_folder(tmp_path):
    folder = tmp_path / "nodes" / "broken"
    folder.mkdir(parents=True)
    (folder / "node.yaml").write_text("program: broken\n")
    with pytest.raises(UsageError, match=f"found from {tmp_path} has no bugs.yaml beside it"):
        find_bugs_file(tmp_path)


HEAD = "program: node.yaml\ncorrect: .\nscenarios: .\nbugs:\n"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("bugs: {}\n", "program"),
        (HEAD + "  a: {description: it, scenario: s, check: no_such_check}\n", "no_such_check"),
        (HEAD + "  a: {description: it, scenario: s, check: nodes_start, verdict: pass}\n", "pass"),
        (HEAD + "  a: {description: it, scenario: s, check: nodes_start}\n", "there is no file"),
        (HEAD + "  a: {scenario: s, check: nodes_start}\n", "`description` is missing"),
        (HEAD + "  A B: {description: it, scenario: s, check: nodes_start}\n", "A B"),
    ],
)
def test_a_mistake_is_reported_with_its_location(tmp_path, text, hint):
    path = tmp_path / "bugs.yaml"
    path.write_text(text)
    (tmp_path / "node.yaml").write_text("")
    with pytest.raises(FileProblems) as caught:
        load_bugs(path)
    assert hint in str(caught.value)
    assert str(path) in str(caught.value) or "bugs.yaml" in str(caught.value)


def test_selecting_keeps_the_order_and_reports_an_unknown_bug():
    assert [bug.name for bug in BUGS_FILE.select(["two_leaders", "dies_on_put"])] == [
        "two_leaders",
        "dies_on_put",
    ]
    assert BUGS_FILE.select([]) == BUGS_FILE.bugs
    with pytest.raises(UsageError, match="did you mean `two_leaders`"):
        BUGS_FILE.select(["two_leader"])


def test_a_bug_is_also_run_in_its_storms(tmp_path):
    (bug,) = BUGS_FILE.select(["drops_every_hundredth"])
    (storm,) = bug.storms
    assert (storm.name, storm.scenario.name, storm.check) == (
        bug.name,
        "durable.yaml",
        "load_prefix",
    )
    assert (storm.program, storm.planted, storm.finding) == (bug.program, bug.planted, "")
    wrong = tmp_path / "bugs.yaml"
    wrong.write_text(
        f"program: {BROKEN}/node.yaml\ncorrect: {BUGS_FILE.correct}\n"
        f"scenarios: {BUGS_FILE.scenarios}\nbugs:\n"
        "  b: {description: x, scenario: roles, check: one_leader,"
        " storms: {durabel: load_prefix}}\n"
    )
    with pytest.raises(
        FileProblems, match=r"there is no file .*durabel\.yaml; did you mean .*durable"
    ):
        load_bugs(wrong)
