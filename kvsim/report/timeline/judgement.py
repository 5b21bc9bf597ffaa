"""What was judged, as plain values of a timeline: checks and findings, guarantees, figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kvsim.checks.consistency.report import GuaranteeResult
from kvsim.checks.consistency.result import ConsistencyResult, Violation
from kvsim.checks.verdict import CheckResult, Finding
from kvsim.text import format_number

# Of one check, those that can be shown on the timeline.
FINDINGS_MAX = 40


def check_data(check: CheckResult) -> dict[str, Any]:
    """One check with its findings."""
    return {
        "name": check.name,
        "about": check.about,
        "verdict": str(check.verdict or "not exercised"),
        "judged": check.judged,
        "findings": [_finding(finding) for finding in check.findings],
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "message": finding.message,
        "step": finding.step,
        "node": finding.node,
        "verdict": str(finding.verdict),
        "timeline": finding.timeline if isinstance(finding, Violation) else "",
    }


def guarantee_data(result: GuaranteeResult) -> dict[str, str]:
    """One guarantee and whether it was kept."""
    return {
        "guarantee": result.guarantee,
        "level": result.level,
        "status": str(result.status),
        "why": result.why,
    }


def measured_data(check: ConsistencyResult) -> dict[str, Any]:
    """What one check measured."""
    return {
        "check": check.name,
        "values": {name: format_number(value) for name, value in check.measured.items()},
    }


def rows_of_violations(checks: Iterable[CheckResult]) -> set[int]:
    """The rows of the history that findings name."""
    return {
        row
        for check in checks
        for finding in check.findings
        if isinstance(finding, Violation)
        for row in finding.rows
    }
