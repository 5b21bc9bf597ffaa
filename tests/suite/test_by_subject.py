"""From results of runs to a table by subject: the worst wins, and nothing is a pass by silence."""

from __future__ import annotations

from xml.etree import ElementTree

from kvsim.errors import Exit
from kvsim.report.junit import junit_of_cases
from kvsim.shipped import SCENARIOS, shipped
from kvsim.suite.by_subject import (
    State,
    SuiteResult,
    is_settled,
    observe_doctor,
    observe_run,
    warnings_of_run,
)
from kvsim.suite.parts import Part
from kvsim.suite.subjects import SCENARIOS as ENTRIES
from kvsim.suite.subjects import SUBJECTS
from kvsim.suite.table import junit_cases, table_lines
from kvsim.trials.trial import Ending, TrialResult

ROLES = Part("roles", "roles", 1.0)


def check(name: str, verdict: str, message: str = "") -> dict:
    findings = [{"message": message, "step": "1.1", "verdict": verdict}] if message else []
    return {"name": name, "verdict": verdict, "findings": findings}


def observed(*checks: dict, part: Part = ROLES) -> SuiteResult:
    result = TrialResult(Ending.PASS, 1.0, repeat_command="kvsim run roles.yaml --seed 1")
    return SuiteResult(observed=list(observe_run(part, result, {"checks": list(checks)})))


def test_a_violation_wins_and_names_the_command_that_shows_it_again():
    result = observed(
        check("leader_accepts_writes", "pass"),
        check("writes_only_at_leader", "fail", "n2 took it"),
    )
    assert (result.state_of("roles"), result.exit) == (State.BROKEN, Exit.FAIL)
    text = "\n".join(table_lines("store", result))
    assert "writes_only_at_leader in roles: step 1.1: n2 took it" in text
    assert "again: kvsim run roles.yaml --seed 1" in text


def test_a_check_that_passes_elsewhere_does_not_exercise_a_subject():
    result = observed(check("replicas_agree", "pass"), check("leader_accepts_writes", "pass"))
    assert result.state_of("replication") is State.NOT_EXERCISED
    assert result.state_of("roles") is State.HOLDS
    assert result.exit is Exit.PASS


def test_nothing_that_applies_is_invalid():
    result = SuiteResult(skipped=[Part("promote", "failover", 1.0, skipped="it cannot promote")])
    assert result.exit is Exit.INVALID
    assert result.reasons("failover") == ["promote: it cannot promote"]


def test_a_fault_without_effect_leaves_its_subject_not_exercised():
    part = Part("clock", "durability", 1.0)
    checks = [check("faults_have_evidence", "invalid", "it does not load the library")]
    result = observed(*checks, part=part)
    assert result.state_of("durability") is State.NOT_EXERCISED
    assert is_settled(TrialResult(Ending.INVALID, 1.0), {"checks": checks})
    assert not is_settled(TrialResult(Ending.INVALID, 1.0), {"checks": []})


def test_what_was_not_reached_is_no_failure():
    result = observed(check("leader_accepts_writes", "pass"))
    result.not_reached.append(Part("promote", "failover", 1.0))
    assert result.exit is Exit.PASS
    assert result.reasons("failover") == ["promote: no time"]


def test_the_doctor_belongs_to_subjects_and_its_warnings_decide_nothing():
    def row(name: str, module: str, status: str) -> dict:
        words = {"observation": "seen", "meaning": "meant", "fix": "mend"}
        return {"diagnostic": name, "module": module, "status": status, **words}

    rows = [row("large_value", "values", "error"), row("stops", "shutdown", "warning")]
    result = SuiteResult(observed=list(observe_doctor(rows, "kvsim doctor x")))
    assert result.state_of("values") is State.BROKEN
    assert result.state_of("manners") is State.HOLDS


def test_warnings_of_runs_are_said_once_and_decide_nothing():
    result = SuiteResult()
    for port in (7001, 7002):
        warned = [{"message": f"n1 listens on 0.0.0.0:{port}"}]
        result.add_warnings(
            warnings_of_run({"checks": [{"name": "listens_as_given", "warnings": warned}]})
        )
    assert result.warnings == ["listens_as_given: n1 listens on 0.0.0.0:7001"]
    assert warnings_of_run(None) == []


def test_junit_has_a_suite_for_each_subject():
    result = observed(
        check("leader_accepts_writes", "fail", "two"), check("reads_are_served", "pass")
    )
    result.not_reached.append(Part("promote", "failover", 1.0))
    root = ElementTree.fromstring(junit_of_cases(junit_cases(result)).partition("\n")[2])
    counts = {suite.get("name"): suite.get("failures") for suite in root}
    assert counts == {"roles": "1", "values": "0", "failover": "0"}


def test_every_entry_is_a_shipped_scenario_and_has_a_subject():
    names = {
        path.read_text().partition("scenario: ")[2].split()[0]
        for path in shipped(SCENARIOS).values()
    }
    assert set(ENTRIES) <= names
    assert {entry.subject for entry in ENTRIES.values()} <= set(SUBJECTS)
