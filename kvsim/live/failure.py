"""A run that did not pass, as a pytest failure: the step's own line as the place, the findings and the step's story as the text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from kvsim.evidence.proof import Proof, judge
from kvsim.evidence.story import story
from kvsim.history.record import Record
from kvsim.report.github import annotations
from kvsim.rundir import RunDir

NO_STORY = {"pass", "skipped"}


def failure_of(run: RunDir, proof: Proof, scenario: Path) -> ReprExceptionInfo:
    """What pytest prints, sums up in one line, and hands from an xdist worker to the one who asked."""
    record = Record.load(run)
    bad = [step for step in record.steps if step.result not in NO_STORY]
    lines = [line for step in bad for line in story(record, step)]
    lines += [f"{proof.verdict}: {findings_of(run, proof)}", f"film: {run.film}", f"again: {proof.again}"]
    where = ReprFileLocation(str(scenario), bad[-1].line if bad else 1, _in_short(proof))
    lines.append(f"{where.path}:{where.lineno}: {where.message}")
    traceback = ReprTraceback([ReprEntryNative([line + "\n" for line in lines])], None, "native")
    return ReprExceptionInfo(reprcrash=where, reprtraceback=traceback)


def annotations_of(folder: Path, scenario: Path) -> Iterator[str]:
    """GitHub's workflow commands for a recorded run, judged again."""
    yield from annotations(judge(Record.load(RunDir(folder))), scenario)


def findings_of(run: RunDir, proof: Proof) -> str:
    """Everything that speaks against the run, a line a finding."""
    found = [
        f"{check.name}: {f'step {finding.step}: ' if finding.step else ''}{finding.message}"
        for check in proof.checks
        for finding in check.findings
    ]
    if proof.ended != "finished":
        found.append(f"the run did not finish: {proof.ended}")
    return "\n  ".join(found) or f"nothing was proven; see {run.proof_text}"


def _in_short(proof: Proof) -> str:
    finding = next((f for check in proof.checks for f in check.findings), None)
    if finding is None:
        return f"{proof.verdict}: {proof.ended}"
    step = f"step {finding.step}: " if finding.step else ""
    return f"{proof.verdict}: {step}{finding.message}"
