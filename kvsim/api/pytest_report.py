"""A run that did not pass, as a pytest failure: the line of the failing step, the findings, and a
report of each step that did not pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from kvsim.history.run_record import RunRecord
from kvsim.proof.failure_report import failure_report
from kvsim.proof.proof import Proof, judge
from kvsim.report.github import github_annotations
from kvsim.run_directory import RunDirectory

NOT_REPORTED = {"pass", "skipped"}


def failure_of(run: RunDirectory, proof: Proof, scenario: Path) -> ReprExceptionInfo:
    """The failure as pytest prints it, with the line for its summary.

    It can be sent from an xdist worker.
    """
    record = RunRecord.load(run)
    not_passed = [step for step in record.steps if step.result not in NOT_REPORTED]
    lines = [line for step in not_passed for line in failure_report(record, step)]
    lines += [
        f"{proof.verdict}: {findings_of(run, proof)}",
        f"timeline: {run.timeline}",
        f"again: {proof.repeat_command}",
    ]
    line_number = not_passed[-1].line if not_passed else 1
    location = ReprFileLocation(str(scenario), line_number, _summary(proof))
    lines.append(f"{location.path}:{location.lineno}: {location.message}")
    entry = ReprEntryNative([line + "\n" for line in lines])
    traceback = ReprTraceback([entry], None, "native")
    return ReprExceptionInfo(reprcrash=location, reprtraceback=traceback)


def annotations_of(folder: Path, scenario: Path) -> Iterator[str]:
    """GitHub's workflow commands for a recorded run, judged again."""
    yield from github_annotations(judge(RunRecord.load(RunDirectory(folder))), scenario)


def findings_of(run: RunDirectory, proof: Proof) -> str:
    """Every finding against the run, one a line."""
    found = [
        f"{check.name}: {f'step {finding.step}: ' if finding.step else ''}{finding.message}"
        for check in proof.checks
        for finding in check.findings
    ]
    if proof.ended != "finished":
        found.append(f"the run did not finish: {proof.ended}")
    return "\n  ".join(found) or f"nothing was proven; see {run.proof_text}"


def _summary(proof: Proof) -> str:
    finding = next((finding for check in proof.checks for finding in check.findings), None)
    if finding is None:
        return f"{proof.verdict}: {proof.ended}"
    step = f"step {finding.step}: " if finding.step else ""
    return f"{proof.verdict}: {step}{finding.message}"
