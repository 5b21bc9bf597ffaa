"""What every check returns: verdicts, findings and results, and how several verdicts become one.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from kvsim.errors import Exit


class Verdict(StrEnum):
    """The verdict of a check, a step or a run. Only `pass` is a pass."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    INVALID = "invalid"


# From best to worst: a violation that was found counts, even if other things were not judged.
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


class Finding(Struct, frozen=True):
    """Something that is wrong with the run, found by a check.

    `step` (`2.1`) and `node` may be empty. With the verdict `pass` it is a warning: for the user,
    and no part of a verdict.
    """

    message: str
    step: str = ""
    node: str = ""
    verdict: Verdict = Verdict.FAIL


def warning(message: str, *, step: str = "", node: str = "") -> Finding:
    """What a user should know, and what breaks no guarantee."""
    return Finding(message, step, node, Verdict.PASS)


class CheckResult(Struct, frozen=True):
    """The result of a check. `about` states what the check requires.

    `judged` counts what it judged; 0 means that it was not exercised, which is never a pass.
    `warnings` decide nothing.
    """

    name: str
    about: str
    judged: int
    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def exercised(self) -> bool:
        """Whether it judged anything."""
        return self.judged > 0

    @property
    def verdict(self) -> Verdict | None:
        """The worst of the findings, or a pass. None when the check was not exercised."""
        if self.findings:
            return worst(finding.verdict for finding in self.findings)
        return Verdict.PASS if self.exercised else None


def downgrade_invalid(result: CheckResult) -> CheckResult:
    """The result for a run that was cut short: its `invalid` findings become `unknown`.

    The rest of the run might have shown what is missing. A violation remains a violation.
    """
    findings = [
        replace(finding, verdict=Verdict.UNKNOWN) if finding.verdict is Verdict.INVALID else finding
        for finding in result.findings
    ]
    return replace(result, findings=tuple(findings))
