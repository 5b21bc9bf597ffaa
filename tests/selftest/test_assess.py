"""What counts as caught: the named check with the stated verdict, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kvsim.checks.verdict import Verdict
from kvsim.selftest.assess import (
    Assessment,
    AssessmentRow,
    assess_bug,
    assess_correct,
    combine_seeds,
)
from kvsim.selftest.bugs_file import Bug
from kvsim.selftest.report import all_good, render, to_json
from kvsim.trials.trial import Ending, TrialResult

BUG = Bug("b", "it is wrong", Path("roles.yaml"), "one_leader", Verdict.FAIL, Path("node.yaml"))


RUN = TrialResult(Ending.FAIL, 0.5, 1, run="/runs/1")


def proof(outcome: str = "fail", **checks: str) -> dict[str, Any]:
    return {
        "verdict": outcome,
        "ended": "finished",
        "repeat_command": "python -m kvsim run roles.yaml --seed 1",
        "checks": [
            {
                "name": name,
                "verdict": verdict,
                "findings": [] if verdict in {"pass", "not exercised"} else [{"message": "m"}],
            }
            for name, verdict in checks.items()
        ],
    }


def row_of_bug(
    proof_json: dict[str, Any] | None, bug: Bug = BUG, run: TrialResult = RUN
) -> AssessmentRow:
    return assess_bug(bug, run, proof_json)


def row_of_correct(proof_json: dict[str, Any] | None, run: TrialResult = RUN) -> AssessmentRow:
    return assess_correct("roles", run, proof_json)


@pytest.mark.parametrize(
    ("verdict", "result"),
    [
        ("fail", Assessment.CAUGHT),
        ("unknown", Assessment.MISSED),
        ("invalid", Assessment.MISSED),
        ("pass", Assessment.MISSED),
        ("not exercised", Assessment.MISSED),
    ],
)
def test_only_the_stated_verdict_of_the_named_check_counts(verdict, result):
    row = row_of_bug(proof(one_leader=verdict, expectations="fail"))
    assert row.result is result
    assert row.others == ("expectations fail",)
    assert bool(row.reason) == (result is Assessment.MISSED)


def test_a_check_that_the_proof_does_not_have_did_not_catch_it():
    assert row_of_bug(proof(expectations="fail")).result is Assessment.MISSED


@pytest.mark.parametrize(
    "run",
    [
        TrialResult(Ending.ERROR, 0.1, 4, "kvsim itself", "exit status 4: kvsim: no"),
        TrialResult(Ending.OVERTIME, 60.0, None, "the time limit", "did not end within 60 s"),
        TrialResult(
            Ending.ERROR, 0.1, None, "kvsim itself", "ended by a signal: it proof_json nothing"
        ),
    ],
    ids=lambda run: run.ending,
)
def test_a_run_without_a_proof_is_neither_caught_nor_missed(run):
    for row in (row_of_bug(None, run=run), row_of_correct(None, run=run)):
        assert row.result is Assessment.NO_PROOF
        assert run.symptom in row.reason
        assert not all_good([row], [])


def test_anything_but_a_pass_is_a_false_alarm():
    assert row_of_correct(proof("pass", one_leader="pass")).result is Assessment.PASSED
    for verdict in ("fail", "unknown", "invalid"):
        row = row_of_correct(proof(verdict, one_leader=verdict))
        assert row.result is Assessment.FALSE_ALARM
        assert "one_leader" in row.reason


def test_the_report_shows_how_to_repeat_a_missed_bug():
    missed = row_of_bug(proof("pass", one_leader="pass"))
    fine = row_of_correct(proof("pass", one_leader="pass"))
    text = render([missed], [fine], 7, 1.0)
    assert "MISSED" in text
    assert "it is wrong" in text
    assert "again       python -m kvsim run roles.yaml --seed 1" in text
    assert "0 of 1 planted bugs" in text
    assert "VERDICT: FAIL" in text
    assert to_json([missed], [fine], 7)["verdict"] == "fail"


def test_the_report_without_a_miss_ends_with_a_pass():
    caught = row_of_bug(proof(one_leader="fail"))
    assert render([caught], [], 7, 1.0).endswith("VERDICT: PASS\n")
    assert json.loads(json.dumps(to_json([caught], [], 7)))["bugs"][0]["result"] == "caught"


@pytest.mark.parametrize(
    ("finding", "result"),
    [("^2[.]1: n2 ", Assessment.CAUGHT), ("^2[.]2", Assessment.MISSED), ("n3", Assessment.MISSED)],
)
def test_a_check_that_fails_for_another_reason_did_not_catch_it(finding, result):
    check = {
        "name": "one_leader",
        "verdict": "fail",
        "findings": [{"step": "2.1", "message": "n2 too"}],
    }
    proof_json = {**proof(), "checks": [check]}
    row = row_of_bug(proof_json, replace(BUG, finding=finding))
    assert row.result is result
    assert ("2.1: n2 too" in row.reason) == (result is Assessment.MISSED)


def test_a_warning_is_caught_by_a_check_that_passes():
    warned = {"name": "one_leader", "verdict": "pass", "findings": []}
    bug = replace(BUG, verdict="warning", finding="n2 too")
    for warnings, result in [
        ([{"step": "", "message": "n2 too"}], Assessment.CAUGHT),
        ([], Assessment.MISSED),
    ]:
        row = row_of_bug({**proof(), "checks": [{**warned, "warnings": warnings}]}, bug)
        assert row.result is result, row.reason


def test_nineteen_of_twenty_seeds_are_enough_for_a_bug_and_the_miss_is_shown():
    caught, missed = (row_of_bug(proof(one_leader=verdict)) for verdict in ("fail", "pass"))
    row = combine_seeds([caught] * 19 + [missed], 0.95)
    assert (row.result, row.good, row.runs) == (Assessment.CAUGHT, 19, 20)
    text = render([row], [], 7, 1.0)
    assert "19 of 20" in text
    assert "had to be fail" in text
    assert combine_seeds([caught] * 18 + [missed] * 2, 0.95).result is Assessment.MISSED
    assert combine_seeds([caught], 0.95).result is Assessment.CAUGHT


def test_one_false_alarm_is_too_many():
    passed, alarm = (row_of_correct(proof(word, one_leader=word)) for word in ("pass", "fail"))
    assert combine_seeds([passed] * 99 + [alarm], 1.0).result is Assessment.FALSE_ALARM
    assert combine_seeds([passed] * 2, 1.0).result is Assessment.PASSED
