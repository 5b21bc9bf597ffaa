"""What a run left becomes a result: where it first went wrong, in words that are the same for the same failure."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kvsim.trials.groups import grouped
from kvsim.trials.reading import first_deviation, result_of, without_own_words
from kvsim.trials.trial import Ending, Result, Trial, exit_of


def proof(verdict: str, steps: list[dict] | None = None, checks: list[dict] | None = None) -> dict:
    return {
        "verdict": verdict,
        "ended": "finished",
        "again": "python -m kvsim run …",
        "run_directory": "/nowhere",
        "steps": steps or [],
        "checks": checks or [],
    }


def step(id: str, result: str, why: str = "") -> dict:
    return {"id": id, "verb": "put", "at": "leader", "result": result, "why": why}


def check(name: str, verdict: str, message: str = "") -> dict:
    return {"name": name, "verdict": verdict, "findings": [{"message": message}] if message else []}


def test_a_pass_went_wrong_nowhere():
    assert first_deviation(proof("pass", [step("1.1", "pass")])) == ("", "")


def test_the_first_step_that_did_not_pass_is_named_before_any_check():
    run = proof(
        "fail",
        [step("1.1", "pass"), step("1.2", "fail", "no answer"), step("1.3", "fail")],
        [check("x", "fail", "m")],
    )
    assert first_deviation(run) == ("step 1.2 (put at leader)", "no answer")


def test_where_all_steps_passed_the_first_check_is_named():
    run = proof(
        "fail", [step("1.1", "pass")], [check("a", "pass"), check("exits_clean", "fail", "n1 ignored TERM")]
    )
    assert first_deviation(run) == ("check exits_clean", "n1 ignored TERM")


def test_where_neither_says_anything_the_end_does():
    assert first_deviation(proof("invalid")) == ("the run", "finished")


def test_drawn_keys_ports_and_times_make_no_other_failure():
    one = without_own_words(
        "`put k-0cd0e6b428fb v-1b1be9493b5206b3` on 127.0.0.1:32432: nothing within 1.02s (pid 10533)"
    )
    other = without_own_words(
        "`put k-a52dc691f0e9 v-4accfbd72c51aa24` on 127.0.0.1:27968: nothing within 1.5s (pid 20441)"
    )
    assert one == other
    assert "put" in one and "nothing within" in one


@given(st.text())
def test_any_message_becomes_one_short_line(text):
    line = without_own_words(text)
    assert len(line) <= 300 and len(line.splitlines()) <= 1


def test_a_run_that_gave_no_proof_is_an_error_not_a_verdict():
    result = result_of(70, "", "Traceback …\nkvsim 0.1.0: this is kvsim's own fault", 1.0)
    assert (result.ending, result.place) == (Ending.ERROR, "kvsim itself")
    assert "own fault" in result.what
    assert result_of(None, "", "", 1.0).ending is Ending.ERROR


def test_output_that_claims_a_pass_does_not_outweigh_the_exit_status():
    assert result_of(70, json.dumps(proof("pass")), "", 1.0).ending is Ending.ERROR


def test_a_scenario_that_does_not_fit_the_program_was_skipped():
    result = result_of(3, "", "skipped s.yaml: program x has no capability `elects`, which it needs\n", 0.1)
    assert result.ending is Ending.SKIPPED
    assert "elects" in result.what


def test_the_same_failure_is_one_group_and_the_most_frequent_comes_first():
    def pair(seed: int, place: str, what: str, ending: Ending = Ending.FAIL) -> tuple[Trial, Result]:
        return Trial("s.yaml", seed), Result(ending, 1.0, place=place, what=what)

    groups = grouped([pair(1, "a", "x"), pair(2, "b", "y"), pair(3, "b", "y"), pair(4, "", "", Ending.PASS)])
    assert [(group.place, group.count, group.seeds) for group in groups] == [("b", 2, (2, 3)), ("a", 1, (1,))]


def test_many_endings_end_in_the_worst():
    assert exit_of({"pass": 9}) == 0
    assert exit_of({"pass": 9, "unknown": 1}) == 2
    assert exit_of({"pass": 9, "unknown": 1, "fail": 1}) == 1
    assert exit_of({"skipped": 4}) == exit_of({}) == 3
    assert exit_of({"pass": 1, "overtime": 1}) == 2


def test_results_and_trials_travel_as_json():
    trial = Trial("s.yaml", 7, ("-o", "a=b"), {"program": "x"})
    result = Result(Ending.OVERTIME, 1.5, None, "p", "w", checks={"a": "pass"})
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert trial.key != Trial("s.yaml", 8, ("-o", "a=b")).key
