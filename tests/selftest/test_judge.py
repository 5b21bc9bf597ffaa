"""What counts as caught: the named check with the stated verdict, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvsim.checks.verdict import Verdict
from kvsim.selftest.judge import Result, Row, combined, judge_bug, judge_correct
from kvsim.selftest.matrix import all_good, render, to_json
from kvsim.selftest.table import Bug
from kvsim.trials.trial import Ending
from kvsim.trials.trial import Result as Ran

BUG = Bug("b", "it is wrong", Path("roles.yaml"), "one_leader", Verdict.FAIL, Path("node.yaml"))


RAN = Ran(Ending.FAIL, 0.5, 1, run="/runs/1")


def proof(verdict: str = "fail", **checks: str) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "ended": "finished",
        "again": "python -m kvsim run roles.yaml --seed 1",
        "checks": [
            {
                "name": name,
                "verdict": answer,
                "findings": [] if answer in {"pass", "not exercised"} else [{"message": "m"}],
            }
            for name, answer in checks.items()
        ],
    }


def of_bug(said: dict[str, Any] | None, bug: Bug = BUG, ran: Ran = RAN) -> Row:
    return judge_bug(bug, ran, said)


def of_correct(said: dict[str, Any] | None, ran: Ran = RAN) -> Row:
    return judge_correct("roles", ran, said)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("fail", Result.CAUGHT),
        ("unknown", Result.MISSED),
        ("invalid", Result.MISSED),
        ("pass", Result.MISSED),
        ("not exercised", Result.MISSED),
    ],
)
def test_only_the_stated_verdict_of_the_named_check_counts(answer, result):
    row = of_bug(proof(one_leader=answer, expectations="fail"))
    assert row.result is result
    assert row.others == ("expectations fail",)
    assert bool(row.why) == (result is Result.MISSED)


def test_a_check_that_the_proof_does_not_have_did_not_catch_it():
    assert of_bug(proof(expectations="fail")).result is Result.MISSED


@pytest.mark.parametrize(
    "ran",
    [
        Ran(Ending.ERROR, 0.1, 4, "kvsim itself", "exit status 4: kvsim: no"),
        Ran(Ending.OVERTIME, 60.0, None, "the time limit", "did not end within 60 s"),
        Ran(Ending.ERROR, 0.1, None, "kvsim itself", "ended by a signal: it said nothing"),
    ],
    ids=lambda ran: ran.ending,
)
def test_a_run_without_a_proof_is_neither_caught_nor_missed(ran):
    for row in (of_bug(None, ran=ran), of_correct(None, ran=ran)):
        assert row.result is Result.NO_PROOF
        assert ran.what in row.why
        assert not all_good([row], [])


def test_anything_but_a_pass_is_a_false_alarm():
    assert of_correct(proof("pass", one_leader="pass")).result is Result.PASSED
    for verdict in ("fail", "unknown", "invalid"):
        row = of_correct(proof(verdict, one_leader=verdict))
        assert row.result is Result.FALSE_ALARM
        assert "one_leader" in row.why


def test_the_matrix_says_what_to_do_about_a_missed_bug():
    missed = of_bug(proof("pass", one_leader="pass"))
    fine = of_correct(proof("pass", one_leader="pass"))
    text = render([missed], [fine], 7, 1.0)
    assert "MISSED" in text
    assert "it is wrong" in text
    assert "again       python -m kvsim run roles.yaml --seed 1" in text
    assert "0 of 1 planted bugs" in text
    assert "VERDICT: FAIL" in text
    assert to_json([missed], [fine], 7)["verdict"] == "fail"


def test_the_matrix_of_a_good_day_ends_with_a_pass():
    caught = of_bug(proof(one_leader="fail"))
    assert render([caught], [], 7, 1.0).endswith("VERDICT: PASS\n")
    assert json.loads(json.dumps(to_json([caught], [], 7)))["bugs"][0]["result"] == "caught"


@pytest.mark.parametrize(
    ("finding", "result"), [("^2[.]1: n2 ", Result.CAUGHT), ("^2[.]2", Result.MISSED), ("n3", Result.MISSED)]
)
def test_a_check_that_fails_for_another_reason_did_not_catch_it(finding, result):
    check = {"name": "one_leader", "verdict": "fail", "findings": [{"step": "2.1", "message": "n2 too"}]}
    said = {**proof(), "checks": [check]}
    row = of_bug(said, replace(BUG, finding=finding))
    assert row.result is result
    assert ("2.1: n2 too" in row.why) == (result is Result.MISSED)


def test_nineteen_of_twenty_seeds_are_enough_for_a_bug_and_the_miss_is_told():
    caught, missed = (of_bug(proof(one_leader=answer)) for answer in ("fail", "pass"))
    row = combined([caught] * 19 + [missed], 0.95)
    assert (row.result, row.good, row.runs) == (Result.CAUGHT, 19, 20)
    text = render([row], [], 7, 1.0)
    assert "19 of 20" in text
    assert "had to say fail" in text
    assert combined([caught] * 18 + [missed] * 2, 0.95).result is Result.MISSED
    assert combined([caught], 0.95).result is Result.CAUGHT


def test_one_false_alarm_is_one_too_many():
    passed, wronged = (of_correct(proof(word, one_leader=word)) for word in ("pass", "fail"))
    assert combined([passed] * 99 + [wronged], 1.0).result is Result.FALSE_ALARM
    assert combined([passed] * 2, 1.0).result is Result.PASSED
