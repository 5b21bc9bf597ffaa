"""The table of planted bugs is whole: every bug is a file, names a check and a scenario that exist, and says what it does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kvsim.checks.promised import NAMES as OF_LOADS
from kvsim.checks.table import CHECKS
from kvsim.cli.files import load_cluster, load_scenario
from kvsim.errors import FileProblems, UsageError
from kvsim.selftest.table import find_table, load_table

ROOT = Path(__file__).parents[2]
BROKEN = ROOT / "nodes/broken"
TABLE = load_table(BROKEN / "bugs.yaml")


def test_every_bug_is_a_file_and_every_file_is_in_the_table():
    files = {path.stem for path in (BROKEN / "bugs").glob("*.py")} - {"__init__"}
    assert {bug.name for bug in TABLE.bugs} == files


@pytest.mark.parametrize("bug", TABLE.bugs, ids=lambda bug: bug.name)
def test_a_bug_can_be_seen_by_the_check_that_is_named(bug):
    assert bug.check in {*CHECKS, *OF_LOADS}
    scenario = load_scenario(ROOT / bug.scenario)
    cluster = load_cluster(
        ROOT / bug.cluster if bug.cluster else scenario.cluster,
        str(ROOT / bug.program),
        {"bug": bug.name, **bug.options},
    )
    assert {node.program.name.split("-")[0] for node in cluster.nodes} == {"broken"}
    assert scenario.needs <= cluster.nodes[0].program.capabilities


@pytest.mark.parametrize("path", sorted((BROKEN / "bugs").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_bug_is_a_small_file_that_says_what_it_does(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= 60, (
        "a bug changes one piece; move what it needs to pieces.py"
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


def test_the_table_is_found_from_below():
    assert find_table(ROOT / "nodes/kvstore") == BROKEN / "bugs.yaml"


def test_without_a_table_it_says_where_it_looked(tmp_path):
    with pytest.raises(UsageError, match=r"nodes/broken/bugs\.yaml"):
        find_table(tmp_path)


HEAD = "program: node.yaml\ncorrect: .\nscenarios: .\nbugs:\n"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("bugs: {}\n", "program"),
        (HEAD + "  a: {says: it, scenario: s, check: no_such_check}\n", "no_such_check"),
        (HEAD + "  a: {says: it, scenario: s, check: nodes_start, verdict: pass}\n", "pass"),
        (HEAD + "  a: {says: it, scenario: s, check: nodes_start}\n", "there is no file"),
        (HEAD + "  a: {scenario: s, check: nodes_start}\n", "`says` is missing"),
        (HEAD + "  A B: {says: it, scenario: s, check: nodes_start}\n", "A B"),
    ],
)
def test_a_mistake_in_the_table_has_its_place(tmp_path, text, hint):
    path = tmp_path / "bugs.yaml"
    path.write_text(text)
    (tmp_path / "node.yaml").write_text("")
    with pytest.raises(FileProblems) as caught:
        load_table(path)
    assert hint in str(caught.value)
    assert str(path) in str(caught.value) or "bugs.yaml" in str(caught.value)


def test_choosing_keeps_the_order_asked_for_and_names_what_is_unknown():
    assert [bug.name for bug in TABLE.chosen(["two_leaders", "dies_on_put"])] == [
        "two_leaders",
        "dies_on_put",
    ]
    assert TABLE.chosen([]) == TABLE.bugs
    with pytest.raises(UsageError, match="did you mean `two_leaders`"):
        TABLE.chosen(["two_leader"])


def test_a_bug_is_also_played_in_the_storms_that_it_names(tmp_path):
    (bug,) = TABLE.chosen(["drops_every_hundredth"])
    (storm,) = bug.storms
    assert (storm.name, storm.scenario.name, storm.check) == (bug.name, "durable.yaml", "load_prefix")
    assert (storm.program, storm.planted, storm.finding) == (bug.program, bug.planted, "")
    wrong = tmp_path / "bugs.yaml"
    wrong.write_text(
        f"program: {BROKEN}/node.yaml\ncorrect: {TABLE.correct}\nscenarios: {TABLE.scenarios}\n"
        "bugs:\n  b: {says: x, scenario: roles, check: one_leader, storms: {durabel: load_prefix}}\n"
    )
    with pytest.raises(FileProblems, match=r"there is no file .*durabel\.yaml; did you mean .*durable"):
        load_table(wrong)
