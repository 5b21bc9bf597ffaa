"""A run becomes a result: where it first went wrong; equal failures have equal symptoms."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kvsim.checks.deviation import first_deviation
from kvsim.trials.failure_groups import group_failures
from kvsim.trials.trial import Ending, Trial, TrialResult, exit_of
from kvsim.trials.trial_process import result_of, symptom_of


def proof(verdict: str, steps: list[dict] | None = None, checks: list[dict] | None = None) -> dict:
    return {
        "verdict": verdict,
        "ended": "finished",
        "repeat_command": "python -m kvsim run …",
        "run_directory": "/nowhere",
        "steps": steps or [],
        "checks": checks or [],
    }


def step(id: str, result: str, why: str = "") -> dict:
    return {"id": id, "verb": "put", "at": "leader", "result": result, "why": why}


def check(name: str, verdict: str, message: str = "") -> dict:
    return {"name": name, "verdict": verdict, "findings": [{"message": message}] if message else []}


def test_a_pass_has_no_deviation():
    assert first_deviation(proof("pass", [step("1.1", "pass")])) == ("", "")


def test_the_first_failed_step_is_named_before_any_check():
    run = proof(
        "fail",
        [step("1.1", "pass"), step("1.2", "fail", "no answer"), step("1.3", "fail")],
        [check("x", "fail", "m")],
    )
    assert first_deviation(run) == ("step 1.2 (put at leader)", "no answer")


def test_the_first_failed_check_is_named_when_all_steps_passed():
    run = proof(
        "fail",
        [step("1.1", "pass")],
        [check("a", "pass"), check("exits_clean", "fail", "n1 ignored TERM")],
    )
    assert first_deviation(run) == ("check exits_clean", "n1 ignored TERM")


def test_the_end_is_named_when_steps_and_checks_report_nothing():
    assert first_deviation(proof("invalid")) == ("the run", "finished")


def test_keys_ports_and_times_do_not_change_the_symptom():
    one = symptom_of(
        "`put k-0cd0e6b428fb v-1b1be9493b5206b3` on 127.0.0.1:32432: "
        "nothing within 1.02s (pid 10533)"
    )
    other = symptom_of(
        "`put k-a52dc691f0e9 v-4accfbd72c51aa24` on 127.0.0.1:27968: "
        "nothing within 1.5s (pid 20441)"
    )
    assert one == other
    assert "put" in one and "nothing within" in one


@given(st.text())
def test_any_message_becomes_one_short_line(text):
    line = symptom_of(text)
    assert len(line) <= 300 and len(line.splitlines()) <= 1


def test_a_run_without_a_proof_is_an_error():
    result = result_of(70, "", "Traceback …\nkvsim 0.1.0: this is an error in kvsim itself", 1.0)
    assert (result.ending, result.failed_at) == (Ending.ERROR, "kvsim itself")
    assert "error in kvsim itself" in result.symptom
    assert result_of(None, "", "", 1.0).ending is Ending.ERROR


def test_a_pass_in_the_output_does_not_outweigh_the_exit_status():
    assert result_of(70, json.dumps(proof("pass")), "", 1.0).ending is Ending.ERROR


def test_a_scenario_that_does_not_fit_the_program_was_skipped():
    result = result_of(
        3, "", "skipped s.yaml: program x has no capability `elects`, which it needs\n", 0.1
    )
    assert result.ending is Ending.SKIPPED
    assert "elects" in result.symptom


def test_equal_failures_are_one_group_and_the_most_frequent_comes_first():
    def pair(
        seed: int, failed_at: str, symptom: str, ending: Ending = Ending.FAIL
    ) -> tuple[Trial, TrialResult]:
        return Trial("s.yaml", seed), TrialResult(ending, 1.0, failed_at=failed_at, symptom=symptom)

    groups = group_failures(
        [pair(1, "a", "x"), pair(2, "b", "y"), pair(3, "b", "y"), pair(4, "", "", Ending.PASS)]
    )
    assert [(group.failed_at, group.count, group.seeds) for group in groups] == [
        ("b", 2, (2, 3)),
        ("a", 1, (1,)),
    ]


def test_the_worst_ending_decides():
    assert exit_of([Ending.PASS]) == 0
    assert exit_of([Ending.PASS, Ending.UNKNOWN]) == 2
    assert exit_of([Ending.PASS, Ending.UNKNOWN, Ending.FAIL]) == 1
    assert exit_of([Ending.SKIPPED]) == exit_of([]) == 3
    assert exit_of([Ending.PASS, Ending.OVERTIME]) == 2


def test_results_and_trials_travel_as_json():
    trial = Trial("s.yaml", 7, ("-o", "a=b"), {"program": "x"})
    result = TrialResult(Ending.OVERTIME, 1.5, None, "p", "w", checks={"a": "pass"})
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial
    assert TrialResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert trial.key != Trial("s.yaml", 8, ("-o", "a=b")).key
