"""What `check.check` returns, and how it looks as text and as data. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from kvsim.checks.consistency.result import ConsistencyResult, Violation
from kvsim.checks.verdict import Finding, Verdict, worst
from kvsim.structs import to_dict
from kvsim.text import format_number, plural


class GuaranteeStatus(StrEnum):
    """Whether a guarantee was kept in a run."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    NOT_EXERCISED = "not exercised"
    NOTHING = "nothing guaranteed"
    NOT_GUARANTEED = "not guaranteed under what happened"


class GuaranteeResult(Struct, frozen=True):
    """One guarantee: the level that the program states, whether it was kept, and why."""

    guarantee: str
    level: str
    status: GuaranteeStatus
    why: str


class Report(Struct, frozen=True):
    """All guarantees and all checks of one history.

    `operations` counts them; `origin` says where the history came from, and may be empty.
    """

    guarantees: tuple[GuaranteeResult, ...]
    checks: tuple[ConsistencyResult, ...]
    operations: int
    origin: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of all checks that judge; `invalid` when nothing was judged."""
        return worst(verdict for check in self.checks if (verdict := check.verdict) is not None)

    def result_of(self, name: str) -> ConsistencyResult:
        """The result of one check. Raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)


def render(report: Report) -> str:
    """The report as text: verdict, guarantees, and each check with its findings and numbers."""
    origin = f" from {report.origin}" if report.origin else ""
    operations = plural(report.operations, "operation")
    lines = [f"{report.verdict}: {operations} judged{origin}", ""]
    if report.guarantees:
        lines += [*map(_guarantee_line, report.guarantees), ""]
    not_exercised = [
        check for check in report.checks if not (check.judged or check.findings or check.unjudged)
    ]
    for check in report.checks:
        if check not in not_exercised:
            lines += _check_lines(check)
    if not_exercised:
        lines.append(f"not exercised {', '.join(check.name for check in not_exercised)}")
    return "\n".join(lines).rstrip() + "\n"


def _guarantee_line(result: GuaranteeResult) -> str:
    return f"{result.status.upper():14} {result.guarantee}: {result.level}  ({result.why})"


def _check_lines(check: ConsistencyResult) -> list[str]:
    verdict = _verdict_text(check)
    lines = [f"{verdict:13} {check.name}: {check.judged:,} {check.unit}; {check.about}"]
    lines += [
        f"              measured {name}: {format_number(value)}"
        for name, value in check.measured.items()
    ]
    lines += [f"              not judged: {left.count:,} {left.why}" for left in check.unjudged]
    for finding in check.findings:
        lines.append(f"  {finding.message}")
        lines += [f"    {line}" for line in violation_lines(finding)]
    hidden = check.found - len(check.findings)
    if hidden > 0:
        lines.append(f"              … and {hidden:,} more like these")
    return lines


def _verdict_text(check: ConsistencyResult) -> str:
    if check.measures_only:
        return "measured" if check.judged or check.findings else "not exercised"
    return check.verdict or "not exercised"


def violation_lines(finding: Finding) -> list[str]:
    """A violation's timeline and, where logs are at hand, what the nodes logged meanwhile.

    Empty for a finding that is no violation.
    """
    if not isinstance(finding, Violation):
        return []
    lines = finding.timeline.splitlines()
    if not finding.logs and not finding.logs_left:
        return lines
    if not finding.logs:
        return [*lines, f"logs meanwhile: {finding.logs_left}"]
    lines.append("logs meanwhile, each line at the time by which kvsim had read it:")
    width = max((len(line.node) for line in finding.logs), default=0)
    lines += [
        f"  {line.at_s:9.3f} s  {line.node:<{width}}  {line.text}  ({line.file}:{line.line})"
        for line in finding.logs
    ]
    return [*lines, f"  {finding.logs_left}"] if finding.logs_left else lines


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain data: strings, numbers, lists, dicts."""
    return {
        "verdict": str(report.verdict),
        "operations": report.operations,
        "origin": report.origin,
        "guarantees": [
            {
                "guarantee": result.guarantee,
                "level": result.level,
                "status": str(result.status),
                "why": result.why,
            }
            for result in report.guarantees
        ],
        "checks": [_check_json(check) for check in report.checks],
    }


def _check_json(check: ConsistencyResult) -> dict[str, Any]:
    return {
        "name": check.name,
        "about": check.about,
        "verdict": check.verdict,
        "guaranteed": not check.measures_only,
        "judged": check.judged,
        "unit": check.unit,
        "not_judged": [{"count": left.count, "why": left.why} for left in check.unjudged],
        "measured": dict(check.measured),
        "found": check.found,
        "findings": [_finding_json(finding) for finding in check.findings],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "message": finding.message,
        "node": finding.node,
        "verdict": str(finding.verdict),
    }
    if isinstance(finding, Violation):
        fields |= {
            "key": finding.key,
            "operations": list(finding.rows),
            "cannot_be_placed": finding.blocked,
            "log_positions": list(finding.positions),
            "timeline": finding.timeline,
            "logs": [to_dict(line) for line in finding.logs],
            "logs_left": finding.logs_left,
        }
    return fields
