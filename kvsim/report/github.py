"""GitHub's workflow commands: annotations that show a finding on the scenario's own line. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.evidence.proof import Proof

LEVELS = {Verdict.FAIL: "error", Verdict.INVALID: "error", Verdict.UNKNOWN: "warning"}


def annotations(proof: Proof, scenario: Path) -> Iterator[str]:
    """One command a finding; those without a step stand on the file's first line."""
    lines = {step.id: step.line for step in proof.steps}
    for check in proof.checks:
        for finding in check.findings:
            yield _command(check, finding, _shown(scenario), lines.get(finding.step, 1))


def _command(check: CheckResult, finding: Finding, file: str, line: int) -> str:
    place = f"file={_property(file)},line={line},title={_property(f'kvsim {check.name}')}"
    return f"::{LEVELS[finding.verdict]} {place}::{_data(finding.message)}"


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
