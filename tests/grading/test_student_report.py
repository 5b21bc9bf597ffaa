"""The student's report: what worked, what did not, sent, received, expected, where to look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from kvsim.checks.subject import Subject
from kvsim.config.plan import PlanItem
from kvsim.config.scenario import Scenario
from kvsim.grading import student_report
from kvsim.grading.scoring import WITHHELD, Grade, Score
from kvsim.grading.student_report import BY_SUBJECT, LOOK_AT, MEANINGS, report_of, scenario_report
from kvsim.history.outcome import REFUSAL_REASONS, OutcomeKind, Reason
from kvsim.trials.trial import Ending, TrialResult

STEPS = [
    {"id": "1.1", "group": "The leader accepts a write", "verb": "put", "at": "leader"},
    {"id": "2.1", "group": "Followers refuse writes", "verb": "put", "at": "each follower"},
]
ACCEPTED = {
    "step": "2.1",
    "node": "n2",
    "role": "follower",
    "sent": "PUT k-0123456789ab v-ffeeddccbbaa\n",
    "received": "OK\n",
    "outcome": {"kind": "ok"},
}


def write_proof(run: Path, *, result: str = "fail", claim: dict | None = None) -> None:
    """A run whose followers accept a write."""
    step = {"targets": ["n2", "n3"], "expect": "refused (read_only)", "why": "n2: got ok"}
    proof = {
        "steps": [
            {**STEPS[0], "targets": ["n1"], "expect": "ok", "result": "pass", "why": ""},
            {**STEPS[1], **step, "result": result},
        ],
        "claims": [ACCEPTED if claim is None else {**ACCEPTED, **claim}],
        "checks": [
            {
                "name": "exits_clean",
                "about": "Every node stops when it is asked to",
                "verdict": "fail",
                "findings": [
                    {
                        "message": "n3 ignored SIGTERM; log /tmp/grade/out/7/nodes/n3/1.log",
                        "step": "",
                        "node": "n3",
                    }
                ],
            }
        ],
        "nodes": [{"name": "n2", "log": "nodes/n2/1.log"}],
    }
    (run / "nodes/n2").mkdir(parents=True)
    (run / "nodes/n2/1.log").write_bytes(b"one\n" * 20 + b"stored k-0123456789ab \x1b[31m\xff\n")
    (run / "proof.json").write_text(json.dumps(proof))


def score_of(run: Path, *, hidden: bool = False, **changes: object) -> Score:
    scenario = Scenario("roles", "", Path("s.yaml"), Path("c.yaml"), ())
    item = PlanItem(Path("s.yaml"), (scenario,), "roles", "Roles", 10, hidden, 1, "runs")
    result = TrialResult(Ending.FAIL, 1.0, failed_at="step 2.1", run=str(run))
    return Score(item, (replace(result, **changes),))


def test_the_report_names_the_limits_that_were_reached(tmp_path):
    write_proof(tmp_path)
    text = scenario_report(score_of(tmp_path, limits_reached=("number of processes", "disk")))
    assert "The program reached a limit: number of processes, disk." in text


def test_the_report_says_what_worked_and_what_did_not(tmp_path):
    write_proof(tmp_path)
    text = report_of(Grade("alice", (score_of(tmp_path),)), 10)
    assert (
        text
        == """\
alice: 0 of 10 points

Roles: 0 of 10 points
  0 of 1 run passed

  what worked
    The leader accepts a write
  what did not work
    put at n2, the follower
      sent      PUT k-0123… v-ffee…\\n
      received  OK\\n (done)
      expected  a refusal that says that this node is a follower
      look at   where a write is handled: a follower must refuse it before it stores anything
    n3 ignored SIGTERM; log n3/1.log
      expected  Every node stops when it is asked to
      look at   how the program starts, logs and stops: its options, SIGTERM, exit status
  the end of the log of n2
    one
    one
    one
    one
    stored k-0123… \\xff
"""
    )


def test_what_the_sandbox_adds_to_a_command_is_left_out(tmp_path):
    prefix, folder = "/usr/bin/prlimit --nofile=9 -- ", "/tmp/grade/submission/"
    write_proof(tmp_path, claim={"sent": f"{prefix}{folder}build/kv_client put k v"})
    score = replace(score_of(tmp_path), sandbox_texts=(prefix, folder))
    assert "  sent      build/kv_client put k v\n" in scenario_report(score)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ({"kind": "unknown", "reason": "timeout"}, "where the program waits"),
        ({"kind": "refused", "reason": "other"}, "compare it with the task, letter by letter"),
        ({"kind": "refused", "reason": "read_only"}, "which node the refusal names"),
    ],
)
def test_where_to_look_depends_on_what_was_received(tmp_path, outcome, words):
    write_proof(tmp_path, claim={"outcome": outcome})
    assert words in " ".join(scenario_report(score_of(tmp_path)).split())


def test_a_hidden_scenario_is_not_reported(tmp_path):
    write_proof(tmp_path)
    assert scenario_report(score_of(tmp_path, hidden=True)) == WITHHELD


def test_a_run_without_a_proof_is_reported_by_its_ending(tmp_path):
    text = scenario_report(score_of(tmp_path, ending=Ending.OVERTIME))
    assert "The run did not end in time." in text


def test_a_submission_that_was_not_tried_says_why():
    text = report_of(Grade("bob", (), trouble="its build ended with status 2:\nno rule"), 10)
    assert text == (
        "bob: 0 of 10 points\n\nYour program was not tried:\n"
        "  its build ended with status 2:\n  no rule\n"
    )


def test_every_outcome_and_every_subject_has_its_words():
    kinds = dict.fromkeys(Reason, OutcomeKind.UNKNOWN) | dict.fromkeys(
        REFUSAL_REASONS, OutcomeKind.REFUSED
    )
    assert {(str(kind), str(reason)) for reason, kind in kinds.items()} <= set(MEANINGS)
    assert {str(reason) for reason in Reason} - set(LOOK_AT) == {"read_only"}
    assert set(BY_SUBJECT) == set(Subject)
    assert set(student_report.ENDED) | {
        Ending.PASS,
        Ending.FAIL,
        Ending.UNKNOWN,
        Ending.INVALID,
    } == set(Ending)
