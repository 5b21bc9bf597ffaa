"""What a check answers: values, and how several become one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from kvsim.errors import Exit


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    INVALID = "invalid"


# From best to worst: a violation that was found stays found, whatever else could not be looked at.
_BADNESS = [Verdict.PASS, Verdict.UNKNOWN, Verdict.INVALID, Verdict.FAIL]

EXITS = {
    Verdict.PASS: Exit.PASS,
    Verdict.FAIL: Exit.FAIL,
    Verdict.UNKNOWN: Exit.UNKNOWN,
    Verdict.INVALID: Exit.INVALID,
}


def worst(verdicts: Iterable[Verdict], default: Verdict = Verdict.INVALID) -> Verdict:
    """The worst of several. Of none: `default`, because nothing tested is not a pass."""
    return max(verdicts, key=_BADNESS.index, default=default)


@dataclass(frozen=True)
class Finding:
    """One thing a check has to say against the run, tied to a step (`2.1`, may be empty) and a node (may be empty)."""

    message: str
    step: str = ""
    node: str = ""
    verdict: Verdict = Verdict.FAIL


@dataclass(frozen=True)
class CheckResult:
    """One check's answer. `judged` counts what it looked at; 0 means that it was not exercised, which is never a pass."""

    name: str
    about: str
    judged: int
    findings: tuple[Finding, ...] = ()

    @property
    def exercised(self) -> bool:
        return self.judged > 0

    @property
    def verdict(self) -> Verdict | None:
        """None when it was not exercised."""
        if self.findings:
            return worst(finding.verdict for finding in self.findings)
        return Verdict.PASS if self.exercised else None


def of_a_cut_run(result: CheckResult) -> CheckResult:
    """The same answer, given of a run that was cut short: what is missing there is unknown, not invalid; a violation stays one."""
    findings = [
        replace(one, verdict=Verdict.UNKNOWN) if one.verdict is Verdict.INVALID else one
        for one in result.findings
    ]
    return replace(result, findings=tuple(findings))
