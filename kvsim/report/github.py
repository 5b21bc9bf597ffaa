"""GitHub's workflow commands: annotations that show a finding on the scenario's own line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.proof.proof import Proof

LEVELS = {Verdict.FAIL: "error", Verdict.INVALID: "error", Verdict.UNKNOWN: "warning"}


def github_annotations(proof: Proof, scenario: Path) -> Iterator[str]:
    """One command for each finding; those without a step are on the file's first line."""
    lines = {step.id: step.line for step in proof.steps}
    for check in proof.checks:
        for finding in check.findings:
            yield _command(check, finding, _relative(scenario), lines.get(finding.step, 1))


def _command(check: CheckResult, finding: Finding, file: str, line: int) -> str:
    location = f"file={_property(file)},line={line},title={_property(f'kvsim {check.name}')}"
    return f"::{LEVELS[finding.verdict]} {location}::{_data(finding.message)}"


def _relative(path: Path) -> str:
    """The path from the top of the repository, as GitHub looks annotations up."""
    absolute = path.resolve()
    with contextlib.suppress(ValueError):
        return str(absolute.relative_to(_repository_of(absolute)))
    return str(path)


def _repository_of(path: Path) -> Path:
    """GITHUB_WORKSPACE where the file is in it, else the repository around the file, else here."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace and path.is_relative_to(Path(workspace).resolve()):
        return Path(workspace).resolve()
    return next((folder for folder in path.parents if (folder / ".git").exists()), Path.cwd())


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
