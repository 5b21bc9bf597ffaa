"""The parts of grading without processes: points, tables, known stores, wrapping, plans."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.plan import GradingPlan, PlanItem, ResourceLimits
from kvsim.config.plan_loader import load_plan
from kvsim.config.scenario import Scenario
from kvsim.config.schema.export import json_schema
from kvsim.config.yaml_nodes import read_text, scalars_in
from kvsim.errors import FileProblems
from kvsim.grading.command_wrapping import wrap_commands
from kvsim.grading.grading import seed_of
from kvsim.grading.known_stores import matches_in_folder, matches_in_usage
from kvsim.grading.plan_check import STORES, conclusions
from kvsim.grading.scoring import WITHHELD, Score, grade_of, points_for, reason_of
from kvsim.grading.tables import csv_of, gradescope_of, junit_of, rows_of
from kvsim.runner.registry import REGISTRY
from kvsim.trials.trial import Ending, TrialResult


def item(
    name: str = "roles",
    points: int = 10,
    runs: int = 1,
    partial: str = "runs",
    hidden: bool = False,
) -> PlanItem:
    scenario = Scenario(name, "", Path("s.yaml"), Path("c.yaml"), ())
    return PlanItem(
        Path("s.yaml"), (scenario,), name, f"title of {name}", points, hidden, runs, partial
    )


def result(ending: Ending, passed: int = 0, total: int = 0) -> TrialResult:
    bad = ending is not Ending.PASS
    return TrialResult(
        ending,
        1.0,
        failed_at="step 1.1" if bad else "",
        message="got ok, secret-key" if bad else "",
        symptom="step 1.1" if bad else "",
        steps_passed=passed,
        steps_total=total,
    )


WHY_ACCEPTED = "put at each follower: got ok"
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
    lambda ending, passed, more: result(ending, passed, passed + more),
    st.sampled_from(list(Ending)),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(
    st.sampled_from(["none", "runs", "steps"]),
    st.lists(RESULTS, min_size=1, max_size=5),
    st.integers(0, 100),
)
def test_points_lie_between_none_and_all_and_all_is_for_passes_only(partial, results, points):
    got = points_for(item(points=points, runs=len(results), partial=partial), results)
    assert 0 <= got <= points
    if (
        any(
            each.ending is not Ending.PASS and each.steps_passed < each.steps_total
            for each in results
        )
        and partial != "steps"
        and points
    ):
        assert got < points


def plan(*items: PlanItem, known_store: str = "flag") -> GradingPlan:
    tree = read_text("start: [./x]", "node.yaml", [])
    return GradingPlan("p", Path("plan.yaml"), tree, (), items, ResourceLimits(), known_store)


ITEMS = item("roles"), item("secret", 5, hidden=True)


def test_a_hidden_scenario_shows_students_its_points_and_withholds_its_messages():
    grade = grade_of(plan(*ITEMS), "alice", [[BAD], [BAD]], ["redis ran: redis-server"])
    shown = json.loads(gradescope_of(grade, plan(*ITEMS)))
    assert [(test["score"], test["max_score"], test["status"]) for test in shown["tests"]] == [
        (0, 10, "failed"),
        (0, 5, "failed"),
    ]
    assert "secret-key" not in json.dumps(shown)
    assert shown["tests"][1]["output"] == WITHHELD
    assert "redis" not in json.dumps(shown)
    assert "secret-key" in Score(ITEMS[1], (BAD,)).describe()


def test_a_known_store_is_reported_or_costs_all_points_or_is_ignored():
    for known_store, total, shown in (("flag", 15, 1), ("zero", 0, 1), ("ignore", 15, 0)):
        grade = grade_of(
            plan(*ITEMS, known_store=known_store),
            "a",
            [[GOOD], [GOOD]],
            ["redis ran: redis-server"],
        )
        assert (grade.total, len(grade.suspicions)) == (total, shown)


def test_a_table_says_nothing_to_a_terminal():
    grade = grade_of(plan(*ITEMS), "eve\x1b]0;title\x07\u202e", [[GOOD], [BAD]], [])
    table = csv_of([grade], plan(*ITEMS))
    assert r"eve\x1b]0;title\x07\u202e," in table and "\x1b" not in table


def test_tables_hold_any_name_and_no_formula():
    grades = [
        grade_of(plan(*ITEMS), "=cmd()", [[GOOD], [BAD]], []),
        grade_of(
            plan(*ITEMS),
            "b,\"c'",
            [[], []],
            [],
            "its build ended with status 2:\n\x1b[31merror\x00",
        ),
    ]
    rows = list(csv.DictReader(io.StringIO(csv_of(grades, plan(*ITEMS)))))
    assert [row["submission"] for row in rows] == ["'=cmd()", "b,\"c'"]
    assert [(row["points"], row["roles"], row["secret"], row["complete"]) for row in rows] == [
        ("10", "10", "0", "yes"),
        ("0", "0", "0", "yes"),
    ]
    assert [row["why"] for row in rows] == ["secret: step 1.1", "its build ended with status 2"]
    headings, cells = rows_of(grades, plan(*ITEMS))
    assert dict(zip(headings, cells[1], strict=True))["why"] == "its build ended with status 2"
    suites = ElementTree.fromstring(junit_of(grades).split("\n", 1)[1])
    assert [len(suite.findall("testcase/failure")) for suite in suites] == [1, 0]
    assert [len(suite.findall("testcase/error")) for suite in suites] == [0, 2]


@pytest.mark.parametrize(
    ("ending", "failed_at", "symptom", "why"),
    [
        (Ending.FAIL, "step 2.1 (put at each follower)", "n2: got ok; n3: got ok", WHY_ACCEPTED),
        (
            Ending.UNKNOWN,
            "step 1.1 (put at leader)",
            "n1: got unknown (timeout): no whole reply in time",
            "put at leader: got unknown (timeout)",
        ),
        (
            Ending.FAIL,
            "check nodes_start",
            "node n1 exited with status 3 before it was ready; n1/1.log is empty",
            "node n1 exited with status 3 before it was ready",
        ),
        (Ending.OVERTIME, "the time limit", "did not end within 40 s", "not ended in time"),
        (Ending.INVALID, "", "", "invalid"),
    ],
)
def test_a_short_phrase_says_why_points_are_missing(ending, failed_at, symptom, why):
    result = TrialResult(ending, 1.0, failed_at=failed_at, symptom=symptom)
    assert reason_of(result) == why
    grade = grade_of(plan(*ITEMS), "a", [[result], [result]], [])
    assert grade.why == f"roles, secret: {why}"


def test_a_plan_is_good_when_only_the_correct_store_gets_all_points():
    good, bad = [[GOOD], [GOOD]], [[BAD], [BAD]]

    def problems(*results) -> list[str]:
        grades = [
            grade_of(plan(*ITEMS), store.name, each, ())
            for store, each in zip(STORES, results, strict=True)
        ]
        return conclusions(grades, plan(*ITEMS))

    assert problems(good, bad, bad) == []
    (too_hard,) = problems(bad, bad, bad)
    assert "a correct store gets 0 of 15 points (roles, secret: step 1.1)" in too_hard
    (blind,) = problems(good, good, bad)
    assert "gets all points (its follower accepts PUT)" in blind


def test_seeds_are_the_same_for_all_and_unknown_without_the_secret():
    assert seed_of("s", "roles", 0) == seed_of("s", "roles", 0)
    drawn = {
        seed_of(secret, name, number)
        for secret in "st"
        for name in ("roles", "reads")
        for number in range(5)
    }
    assert len(drawn) == 20


def test_known_stores_are_found_by_texts_in_their_programs_under_any_name(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/kvstore").write_bytes(
        b"\x7fELF" + bytes(100) + b"# Server\r\nredis_version:%s\r\n"
    )
    (tmp_path / "README").write_text("not built on redis or etcd")
    assert matches_in_folder(tmp_path) == ["src/kvstore holds texts of redis"]
    usage = tmp_path / "usage.json"
    usage.write_text(
        json.dumps(
            {
                "programs": [["/usr/bin/etcd", "etcd"], ["/tmp/a", "./a"]],
                "matched": {"valkey": "/tmp/a"},
            }
        )
    )
    assert matches_in_usage(usage) == ["etcd ran: etcd", "/tmp/a, which ran, holds texts of valkey"]
    assert matches_in_usage(tmp_path / "nothing.json") == []


NODE = """
start: [./build/kvstore, "--port={port}"]
init: [[./init], {run: [mkdir, x], within: 2s}]
stop: {steps: [{command: [./stop], wait: 1s}]}
speak: command
requests:
  put: [./client, "{key}", "on"]
  get: "./client get '{key}'"
  delete: {argv: [cli, del], stdin: "a\\nb"}
files: {a: "{program_dir}/b"}
"""


def test_every_command_of_a_submission_is_wrapped():
    text = wrap_commands(read_text(NODE, "node.yaml", []), "/sub", ["L", "{data_dir}"], ["C"])
    tree = read_text(text, "again", problems := [])
    assert not problems
    as_text = {
        key.text: " ".join(scalar.text for scalar in scalars_in(value))
        for key, value in tree.entries
    }
    assert as_text == {
        "start": "L {data_dir} /sub/build/kvstore --port={port}",
        "init": "L {data_dir} /sub/init L {data_dir} mkdir x 2s",
        "stop": "L {data_dir} /sub/stop 1s",
        "speak": "command",
        "requests": "C /sub/client {key} on C /sub/client get '{key}' C cli del a\nb",
        "files": "/sub/b",
    }


def _scalars(tree):
    from kvsim.config.yaml_nodes import scalars_in

    return scalars_in(tree)


def test_all_mistakes_of_a_plan_are_reported_at_once_with_their_locations(tmp_path):
    (tmp_path / "node.yaml").write_text("program: x\nlike: ../other\n")
    (tmp_path / "plan.yaml").write_text(
        "plan: p\nprogram: node.yaml\nscenarios:\n"
        "  - {file: nowhere.yaml, points: many}\n  - {points: 1, hiden: true}\n"
        "limits: {memory: 12 apples}\nknown_store: shout\n"
    )
    with pytest.raises(FileProblems) as caught:
        load_plan(tmp_path / "plan.yaml", lambda path: pytest.fail("nothing to read"))
    message = str(caught.value)
    for part in (
        "plan.yaml:4",
        "plan.yaml:5",
        "hidden",
        "apples",
        "shout",
        "`start` must be in this file",
        "absolute path",
    ):
        assert part in message, message


def test_a_plan_has_a_schema_for_editors():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema("plan", REGISTRY)
    good = {
        "plan": "p",
        "program": "node.yaml",
        "scenarios": [{"file": "a.yaml", "points": 3, "hidden": True}],
        "limits": {"memory": "64MB"},
    }
    jsonschema.Draft202012Validator(schema).validate(good)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**good, "limits": {"memory": 64}})
