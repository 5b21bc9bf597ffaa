"""What `judge.check` gives back: values, and how they look as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kvsim.checks.consistency.answer import Answer, Violation, plural
from kvsim.checks.verdict import Finding, Verdict, worst


class Standing(StrEnum):
    """How a promise stands after a run."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    NOT_EXERCISED = "not exercised"
    NOTHING = "nothing promised"
    NOT_PROMISED = "not promised under what happened"


@dataclass(frozen=True)
class PromiseResult:
    """One promise: the word the program used, how it stands, and why in one sentence."""

    promise: str
    word: str
    standing: Standing
    why: str


@dataclass(frozen=True)
class Report:
    """All promises and all checks of one history, and the one verdict they come to.

    The worst of all checks that judge something promised; nothing judged at all is `invalid`, undecided is
    `unknown`.
    """

    promises: tuple[PromiseResult, ...]
    checks: tuple[Answer, ...]
    operations: int
    origin: str = ""

    @property
    def verdict(self) -> Verdict:
        return worst(verdict for check in self.checks if (verdict := check.verdict) is not None)

    def named(self, name: str) -> Answer:
        """The answer of one check. Raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)


def merge(reports: Iterable[Report]) -> Verdict:
    """The worst verdict of several reports; of none, invalid."""
    return worst(report.verdict for report in reports)


def render(report: Report) -> str:
    """The report as text for a terminal: verdict, promises, checks with what they found and could not judge."""
    lines = [f"{report.verdict}: {plural(report.operations, 'operation')} judged{_from(report.origin)}", ""]
    if report.promises:
        lines += [*map(_promise_line, report.promises), ""]
    silent = [check for check in report.checks if not (check.judged or check.findings or check.unjudged)]
    for check in report.checks:
        if check not in silent:
            lines += _check_lines(check)
    if silent:
        lines.append(f"not exercised {', '.join(check.name for check in silent)}")
    return "\n".join(lines).rstrip() + "\n"


def _from(origin: str) -> str:
    return f" from {origin}" if origin else ""


def _promise_line(result: PromiseResult) -> str:
    return f"{result.standing.upper():14} {result.promise}: {result.word}  ({result.why})"


def _check_lines(check: Answer) -> list[str]:
    said = _said(check)
    lines = [f"{said:13} {check.name}: {check.judged:,} {check.unit}; {check.about}"]
    lines += [f"              measured {name}: {_number(value)}" for name, value in check.measured.items()]
    lines += [f"              not judged: {left.count:,} {left.why}" for left in check.unjudged]
    for finding in check.findings:
        lines += _finding_lines(finding)
    hidden = check.found - len(check.findings)
    if hidden > 0:
        lines.append(f"              … and {hidden:,} more like these")
    return lines


def _said(check: Answer) -> str:
    if check.measures_only:
        return "measured" if check.judged or check.findings else "not exercised"
    return check.verdict or "not exercised"


def _number(value: object) -> str:
    return (
        f"{value:,.3f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def _finding_lines(finding: Finding) -> list[str]:
    return [f"  {finding.message}", *(f"    {line}" for line in shown_lines(finding))]


def shown_lines(finding: Finding) -> list[str]:
    """The timeline of a violation and, where logs are at hand, what the nodes logged meanwhile."""
    if not isinstance(finding, Violation):
        return []
    lines = finding.picture.splitlines()
    if not finding.logs and not finding.logs_left:
        return lines
    if not finding.logs:
        return [*lines, f"logs meanwhile: {finding.logs_left}"]
    lines.append("logs meanwhile, each line at the time by which it had been seen:")
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
        "promises": [
            {"promise": one.promise, "word": one.word, "standing": str(one.standing), "why": one.why}
            for one in report.promises
        ],
        "checks": [_check_json(check) for check in report.checks],
    }


def _check_json(check: Answer) -> dict[str, Any]:
    return {
        "name": check.name,
        "about": check.about,
        "verdict": check.verdict,
        "promised": not check.measures_only,
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
            "log_positions": list(finding.positions),
            "picture": finding.picture,
            "logs": [asdict(line) for line in finding.logs],
            "logs_left": finding.logs_left,
        }
    return fields
