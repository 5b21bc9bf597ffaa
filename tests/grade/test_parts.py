"""Grading's parts that need no process: points, tables, suspicions, a program's commands behind their limits, the plan's language."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.plan import Item, Limits, Plan
from kvsim.config.plan_file import load_plan
from kvsim.config.scenario import Scenario
from kvsim.config.schema import json_schema
from kvsim.config.yaml_tree import read_text
from kvsim.errors import FileProblems
from kvsim.grade.grading import seed_of
from kvsim.grade.marks import WITHHELD, Mark, grade_of, points_for
from kvsim.grade.suspects import in_folder, in_room
from kvsim.grade.tables import csv_of, gradescope_of, junit_of, rows_of
from kvsim.grade.wrapping import wrapped
from kvsim.trials.trial import Ending, Result


def item(
    name: str = "roles", points: int = 10, runs: int = 1, partial: str = "runs", hidden: bool = False
) -> Item:
    scenario = Scenario(name, "", Path("s.yaml"), Path("c.yaml"), ())
    return Item(Path("s.yaml"), (scenario,), name, f"title of {name}", points, hidden, runs, partial)


def result(ending: Ending, held: int = 0, asked: int = 0) -> Result:
    bad = ending is not Ending.PASS
    return Result(
        ending,
        1.0,
        place="step 1.1" if bad else "",
        why="got ok, secret-key" if bad else "",
        held=held,
        asked=asked,
    )


GOOD, BAD = result(Ending.PASS), result(Ending.FAIL, 3, 4)


@pytest.mark.parametrize(
    ("partial", "results", "points"),
    [
        ("none", (GOOD, GOOD), 10),
        ("none", (GOOD, BAD), 0),
        ("none", (GOOD,), 0),  # a run that was not made
        ("runs", (GOOD, BAD), 5),
        ("runs", (GOOD,), 5),
        ("steps", (GOOD, BAD), 8.75),
        ("steps", (result(Ending.OVERTIME, 3, 4), result(Ending.ERROR)), 0),
        ("runs", (result(Ending.UNKNOWN), result(Ending.INVALID)), 0),  # no pass
        ("runs", (), 0),
    ],
)
def test_points(partial, results, points):
    assert points_for(item(runs=2, partial=partial), results) == points


RESULTS = st.builds(
    lambda ending, held, more: result(ending, held, held + more),
    st.sampled_from(list(Ending)),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(
    st.sampled_from(["none", "runs", "steps"]), st.lists(RESULTS, min_size=1, max_size=5), st.integers(0, 100)
)
def test_points_lie_between_none_and_all_and_all_is_for_passes_only(partial, results, points):
    got = points_for(item(points=points, runs=len(results), partial=partial), results)
    assert 0 <= got <= points
    if (
        any(one.ending is not Ending.PASS and one.held < one.asked for one in results)
        and partial != "steps"
        and points
    ):
        assert got < points


def plan(*items: Item, inside: str = "flag") -> Plan:
    tree = read_text("start: [./x]", "node.yaml", [])
    return Plan("p", Path("plan.yaml"), tree, (), items, Limits(), inside)


SEEN = item("roles"), item("secret", 5, hidden=True)


def test_a_hidden_scenario_shows_students_its_points_and_withholds_its_messages():
    grade = grade_of(plan(*SEEN), "alice", [[BAD], [BAD]], ["redis ran: redis-server"])
    told = json.loads(gradescope_of(grade, plan(*SEEN)))
    assert [(test["score"], test["max_score"], test["status"]) for test in told["tests"]] == [
        (0, 10, "failed"),
        (0, 5, "failed"),
    ]
    assert "secret-key" in told["tests"][0]["output"]
    assert told["tests"][1]["output"] == WITHHELD
    assert "redis" not in json.dumps(told)
    assert "secret-key" in Mark(SEEN[1], (BAD,)).said(to_teacher=True)


def test_a_known_store_inside_is_said_or_costs_all_points_or_is_not_looked_for():
    for inside, total, shown in (("flag", 15, 1), ("zero", 0, 1), ("ignore", 15, 0)):
        grade = grade_of(plan(*SEEN, inside=inside), "a", [[GOOD], [GOOD]], ["redis ran: redis-server"])
        assert (grade.total, len(grade.suspicions)) == (total, shown)


def test_tables_hold_any_name_and_no_formula():
    grades = [
        grade_of(plan(*SEEN), "=cmd()", [[GOOD], [BAD]], []),
        grade_of(plan(*SEEN), "b,\"c'", [[], []], [], "its build ended with status 2:\n\x1b[31merror\x00"),
    ]
    rows = list(csv.DictReader(io.StringIO(csv_of(grades, plan(*SEEN)))))
    assert [row["submission"] for row in rows] == ["'=cmd()", "b,\"c'"]
    assert [(row["points"], row["roles"], row["secret"], row["complete"]) for row in rows] == [
        ("10", "10", "0", "yes"),
        ("0", "0", "0", "yes"),
    ]
    assert rows_of(grades, plan(*SEEN))[1][1][-1].startswith("its build ended with status 2")
    suites = ElementTree.fromstring(junit_of(grades).split("\n", 1)[1])
    assert [len(suite.findall("testcase/failure")) for suite in suites] == [1, 0]
    assert [len(suite.findall("testcase/error")) for suite in suites] == [0, 2]


def test_seeds_are_the_same_for_all_and_unknown_without_the_secret():
    assert seed_of("s", "roles", 0) == seed_of("s", "roles", 0)
    drawn = {
        seed_of(secret, name, number) for secret in "st" for name in ("roles", "reads") for number in range(5)
    }
    assert len(drawn) == 20


def test_known_stores_are_found_by_what_their_programs_hold_whatever_they_are_called(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/kvstore").write_bytes(b"\x7fELF" + bytes(100) + b"# Server\r\nredis_version:%s\r\n")
    (tmp_path / "README").write_text("not built on redis or etcd")
    assert in_folder(tmp_path) == ["src/kvstore holds texts of redis"]
    seen = tmp_path / "seen.json"
    seen.write_text(
        json.dumps(
            {"programs": [["/usr/bin/etcd", "etcd"], ["/tmp/a", "./a"]], "betrayed": {"valkey": "/tmp/a"}}
        )
    )
    assert in_room(seen) == ["etcd ran: etcd", "/tmp/a, which ran, holds texts of valkey"]
    assert in_room(tmp_path / "nothing.json") == []


NODE = """
start: [./build/kvstore, "--port={port}"]
init: [[./init], {run: [mkdir, x], within: 2s}]
stop: {steps: [{command: [./stop], wait: 1s}]}
speak: command
requests: {put: [./client, "{key}", "on"], get: "./client get '{key}'", delete: {argv: [cli, del], stdin: "a\\nb"}}
files: {a: "{program_dir}/b"}
"""


def test_every_command_of_a_submission_is_behind_its_limits():
    text = wrapped(read_text(NODE, "node.yaml", []), "/sub", ["L", "{data_dir}"], ["C"])
    tree = read_text(text, "again", problems := [])
    assert not problems
    as_text = {key.text: " ".join(one.text for one in _scalars(value)) for key, value in tree.entries}
    assert as_text == {
        "start": "L {data_dir} /sub/build/kvstore --port={port}",
        "init": "L {data_dir} /sub/init L {data_dir} mkdir x 2s",
        "stop": "L {data_dir} /sub/stop 1s",
        "speak": "command",
        "requests": "C /sub/client {key} on C /sub/client get '{key}' C cli del a\nb",
        "files": "/sub/b",
    }


def _scalars(tree):
    from kvsim.config.yaml_tree import walk

    return walk(tree)


def test_every_mistake_of_a_plan_is_said_at_once_with_its_place(tmp_path):
    (tmp_path / "node.yaml").write_text("program: x\nlike: ../other\n")
    (tmp_path / "plan.yaml").write_text(
        "plan: p\nprogram: node.yaml\nscenarios:\n  - {file: nowhere.yaml, points: many}\n  - {points: 1, hiden: true}\n"
        "limits: {memory: 12 apples}\ninside: shout\n"
    )
    with pytest.raises(FileProblems) as caught:
        load_plan(tmp_path / "plan.yaml", lambda path: pytest.fail("nothing to read"))
    said = str(caught.value)
    for part in (
        "plan.yaml:4",
        "plan.yaml:5",
        "hidden",
        "apples",
        "shout",
        "`start` must stand in this file",
        "absolute path",
    ):
        assert part in said, said


def test_a_plan_has_a_schema_for_editors():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema("plan")
    good = {
        "plan": "p",
        "program": "node.yaml",
        "scenarios": [{"file": "a.yaml", "points": 3, "hidden": True}],
        "limits": {"memory": "64MB"},
    }
    jsonschema.Draft202012Validator(schema).validate(good)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**good, "limits": {"memory": 64}})
