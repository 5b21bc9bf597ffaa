"""The runs of a selftest, and what each shows of the tester.

A bug was caught or missed, the correct store passed or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Scenario
from kvsim.selftest.bugs_file import WARNING, Bug, relative
from kvsim.trials.trial import Trial, TrialResult

NOT_EXERCISED = "not exercised"
SILENT = {str(Verdict.PASS), NOT_EXERCISED}

# The proof.json of a run directory; None when the run left none.
ProofJson = Mapping[str, Any] | None


class Assessment(StrEnum):
    """What a run shows of the tester. `no proof`: the run left nothing to assess."""

    CAUGHT = "caught"
    MISSED = "missed"
    PASSED = "passed"
    FALSE_ALARM = "false alarm"
    NO_PROOF = "no proof"


GOOD = {Assessment.CAUGHT, Assessment.PASSED}


class AssessmentRow(Struct, frozen=True):
    """One run, or the runs with several seeds.

    `named`: the check that must catch the bug, and its verdict. `others`: the other checks that did
    not pass. `good`: how many of `runs` caught the bug, or passed.
    """

    name: str
    description: str
    scenario: str
    result: Assessment
    named: str = ""
    others: tuple[str, ...] = ()
    reason: str = ""
    repeat_command: str = ""
    run_directory: str = ""
    took_s: float = 0.0
    good: int = 0
    runs: int = 1


def combine_seeds(rows: Sequence[AssessmentRow], share_min: float) -> AssessmentRow:
    """The rows of several seeds as one: good when at least this share of them is.

    It shows the first run that is not good.
    """
    good = [row for row in rows if row.result in GOOD]
    bad = [row for row in rows if row.result not in GOOD]
    enough = bool(good) and len(good) >= share_min * len(rows)
    shown = bad[0] if bad else good[0]
    return replace(
        shown,
        result=good[0].result if enough else shown.result,
        good=len(good),
        runs=len(rows),
        took_s=sum(row.took_s for row in rows),
    )


def assess_bug(bug: Bug, run: TrialResult, proof: ProofJson) -> AssessmentRow:
    """Caught when the named check gives the verdict, and the finding, that the bugs file states.

    Another check that fails is not enough.
    """
    row = AssessmentRow(
        name=bug.name,
        description=bug.description,
        scenario=bug.scenario.stem,
        result=Assessment.NO_PROOF,
        named=bug.check,
        took_s=run.took_s,
    )
    if proof is None:
        return replace(row, reason=_why_no_proof(run))
    verdicts = {check["name"]: check["verdict"] for check in proof["checks"]}
    verdict = verdicts.pop(bug.check, NOT_EXERCISED)
    findings = _findings_of(proof, bug.check)
    if verdict == Verdict.PASS and any(findings):
        verdict = WARNING
    reason = _why_missed(bug, verdict, findings)
    return replace(
        row,
        result=Assessment.MISSED if reason else Assessment.CAUGHT,
        named=f"{bug.check} {verdict}",
        others=_not_passed(verdicts),
        reason=reason,
        repeat_command=proof["repeat_command"],
        run_directory=run.run,
    )


def _why_missed(bug: Bug, verdict: str, findings: Sequence[str]) -> str:
    """Empty when it was caught."""
    if verdict != bug.verdict:
        return f"the verdict of {bug.check} had to be {bug.verdict}; it was {verdict}"
    if bug.finding and not any(re.search(bug.finding, finding) for finding in findings):
        found = "; ".join(findings)
        return f"the verdict of {bug.check} was {verdict}, but not for {bug.finding!r}: {found}"
    return ""


def _findings_of(proof: Mapping[str, Any], name: str) -> list[str]:
    """What one check found or warns of, `step: message` each."""
    return [
        f"{finding.get('step', '')}: {finding['message']}"
        for check in proof["checks"]
        if check["name"] == name
        for finding in (*check["findings"], *check.get("warnings", ()))
    ]


def assess_correct(scenario: str, run: TrialResult, proof: ProofJson) -> AssessmentRow:
    """Anything but a pass of the correct store is a false alarm."""
    row = AssessmentRow(
        name=scenario,
        description="",
        scenario=scenario,
        result=Assessment.NO_PROOF,
        took_s=run.took_s,
    )
    if proof is None:
        return replace(row, reason=_why_no_proof(run))
    passed = proof["verdict"] == Verdict.PASS
    return replace(
        row,
        result=Assessment.PASSED if passed else Assessment.FALSE_ALARM,
        others=_not_passed({check["name"]: check["verdict"] for check in proof["checks"]}),
        reason="" if passed else _why_not_passed(proof),
        repeat_command=proof["repeat_command"],
        run_directory=run.run,
    )


def _why_not_passed(proof: Mapping[str, Any]) -> str:
    findings = [
        f"{check['name']} {check['verdict']}: {finding['message']}"
        for check in proof["checks"]
        for finding in check["findings"]
    ]
    return "; ".join(findings) or f"the verdict is {proof['verdict']}: {proof['ended']}"


def _not_passed(verdicts: Mapping[str, str]) -> tuple[str, ...]:
    """`CHECK VERDICT` for each check that reported something."""
    return tuple(f"{name} {verdict}" for name, verdict in verdicts.items() if verdict not in SILENT)


def _why_no_proof(run: TrialResult) -> str:
    return f"the run left no proof: {run.symptom or run.ending}"


# --- the runs -------------------------------------------------------------------------------------


class SelftestRun(Struct, frozen=True):
    """One run of kvsim, and how it becomes a row.

    `subject`: what the row is about; the same for every seed.
    """

    subject: str
    trial: Trial
    assess: Callable[[TrialResult, ProofJson], AssessmentRow]


def bug_runs(bugs: Sequence[Bug], seed: int) -> list[SelftestRun]:
    """Each bug in the scenario that shows it."""
    return [_bug_run(bug, seed) for bug in bugs]


def correct_runs(scenarios: Sequence[Scenario], folder: Path, seed: int) -> list[SelftestRun]:
    """The correct store in each scenario, named by its path in `folder`."""
    return [_correct_run(scenario, folder, seed) for scenario in scenarios]


def _bug_run(bug: Bug, seed: int) -> SelftestRun:
    trial = Trial(str(bug.scenario), seed, _arguments(bug))
    subject = f"{bug.name} in {bug.scenario.stem}"
    return SelftestRun(subject, trial, lambda run, proof: assess_bug(bug, run, proof))


def _correct_run(scenario: Scenario, folder: Path, seed: int) -> SelftestRun:
    cell = scenario.label.removeprefix(scenario.name)
    label = scenario.path.relative_to(folder).with_suffix("").as_posix() + cell
    trial = Trial(str(relative(scenario.path)), seed, scenario.cell_arguments)
    return SelftestRun(
        f"correct {label}", trial, lambda run, proof: assess_correct(label, run, proof)
    )


def _arguments(bug: Bug) -> tuple[str, ...]:
    """The arguments of `kvsim run` that plant the bug."""
    cluster = ("--cluster", str(bug.cluster)) if bug.cluster else ()
    options = [word for name, value in bug.planted.items() for word in ("-o", f"{name}={value}")]
    return ("--program", str(bug.program), *cluster, *options)
