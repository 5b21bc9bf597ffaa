"""The checks of a run's record, by name in the order of output, and how they are applied."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from kvsim.checks import run_record
from kvsim.checks.run_record.run_check import RunCheck
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.discovery import discover
from kvsim.history.run_record import RunRecord

CHECKS: dict[str, RunCheck] = discover(run_record, RunCheck)

NOTHING_TO_JUDGE = "the scenario asks for this check, but nothing was there to judge"


def subject_of(name: str) -> Subject:
    """What a check of a proof is about; `load_…` are the consistency checks of loads."""
    if name in CHECKS:
        return CHECKS[name].subject
    # Late: only a run with a load has such checks.
    from kvsim.checks.consistency.check import CHECKS as CONSISTENCY_CHECKS

    check = CONSISTENCY_CHECKS.get(name.removeprefix("load_"))
    return check.subject if check else Subject.CONSISTENCY


def apply(record: RunRecord, required: Collection[str] = ()) -> list[CheckResult]:
    """Every check on one run. A required check that judged nothing makes the run invalid."""
    return [_apply_check(check, record, check.name in required) for check in CHECKS.values()]


def _apply_check(check: RunCheck, record: RunRecord, required: bool) -> CheckResult:
    judged, findings = check.judge(record)
    if required and not judged and not findings:
        findings = [Finding(NOTHING_TO_JUDGE, verdict=Verdict.INVALID)]
    findings = [_measured_across_a_gap(record, finding) for finding in findings]
    warnings = [finding for finding in findings if finding.verdict is Verdict.PASS]
    violations = [finding for finding in findings if finding.verdict is not Verdict.PASS]
    return CheckResult(check.name, check.about, judged, tuple(violations), tuple(warnings))


def _measured_across_a_gap(record: RunRecord, finding: Finding) -> Finding:
    """A violation that was measured while kvsim itself did not run is not known."""
    gap = record.gap_in_step(finding.step) if finding.verdict is Verdict.FAIL else None
    if gap is None:
        return finding
    return replace(finding, message=f"{finding.message} ({gap})", verdict=Verdict.UNKNOWN)
