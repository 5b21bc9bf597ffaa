"""What `kvsim run` prints: the verdict and why, first and last, and between them what one can take
in at a glance. proof.txt holds the whole. Pure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from kvsim.checks.deviation import first_deviation
from kvsim.checks.registry import subject_of
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import CheckResult, Verdict
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import WRITE_VERBS, RunRecord
from kvsim.proof.coverage_gaps import shown_by_loads
from kvsim.proof.failure_report import failed_steps, failure_report, findings_by_step
from kvsim.proof.proof import Claim, NodeProof, Proof
from kvsim.proof.proof_text import exchange, latency_line
from kvsim.text import escape_surrogates, one_line, plural, truncate

WIDTH = 100
# Steps and checks that are shown in full; the first ones explain the most.
FAILURES_SHOWN = 3
FINDINGS_SHOWN = 3
NODES_SHOWN = 5
LOG_LINE_WIDTH = 60
SUBJECT_WIDTH = max(map(len, Subject)) + 2


def render_summary(proof: Proof, record: RunRecord, folder: Path, width: int = WIDTH) -> str:
    """The text for one run. `folder` is how its run directory is named to the user.

    No line is wider than `width`, but for commands and paths, which a person copies, and reports of
    failures. A run that passed takes at most 25 lines, without the list of what was not exercised.
    """
    return escape_surrogates("\n".join(_lines(proof, record, folder, width)) + "\n")


def headline(proof: Proof, width: int = WIDTH) -> str:
    """The verdict and why, on one line."""
    verdict = str(proof.verdict).upper()
    return truncate(f"{verdict:<8}{proof.scenario}: {cause_of(proof) or proof.title}", width)


def cause_of(proof: Proof) -> str:
    """Where the run first went wrong, what was expected there, what came, and what a check makes of
    it; empty for a pass.
    """
    position, message = first_deviation(proof.to_json())
    if not position:
        return ""
    step = next((step for step in proof.steps if position.startswith(f"step {step.id} ")), None)
    parts = [f"expected {step.expect}"] if step and step.expect else []
    parts.append(one_line(message))
    if step:
        parts += [one_line(item.message) for item in findings_by_step(proof).get(step.id, ())[:1]]
    return f"{position}: {'; '.join(parts)}"


def _lines(proof: Proof, record: RunRecord, folder: Path, width: int) -> Iterator[str]:
    yield headline(proof, width)
    yield ""
    if proof.verdict is Verdict.PASS or proof.unproven:
        for line in _exchanges(proof):
            yield from _folded(line, width)
    if proof.verdict is not Verdict.PASS:
        yield from _failures(proof, record)
    yield from _loads(proof, record)
    yield from _proven(proof, width)
    yield from _not_exercised(proof, width)
    yield from _warnings(proof, width)
    yield ""
    yield f"proof: {folder}/proof.txt   timeline: {folder}/report.html"
    yield f"again: {proof.repeat_command}"
    cause = cause_of(proof)
    if cause:
        yield f"why: {cause}"
    yield f"VERDICT: {str(proof.verdict).upper()}"


def _failures(proof: Proof, record: RunRecord) -> Iterator[str]:
    """The steps that did not pass, and the findings that belong to no step."""
    findings = findings_by_step(proof)
    failed = failed_steps(proof)
    for step in failed[:FAILURES_SHOWN]:
        messages = [finding.message for finding in findings.get(step.id, ())]
        yield from failure_report(record, step, messages)
        yield ""
    if len(failed) > FAILURES_SHOWN:
        yield f"and {plural(len(failed) - FAILURES_SHOWN, 'more step')} that did not pass"
        yield ""
    shown = {step.id for step in failed}
    for check in proof.checks:
        rest = [finding for finding in check.findings if finding.step not in shown]
        if not rest:
            continue
        yield f"{str(check.verdict).upper():<8}{check.name}: {check.about}"
        for finding in rest[:FINDINGS_SHOWN]:
            yield from (f"        {line}" for line in finding.message.splitlines())
        if len(rest) > FINDINGS_SHOWN:
            yield f"        and {len(rest) - FINDINGS_SHOWN} more, in the proof"
        yield ""
    if proof.ended != "finished":
        yield f"the run did not finish: {proof.ended}"
        yield ""


def _exchanges(proof: Proof) -> Iterator[str]:
    """Each node as it started, and the write that shows its role: request and reply."""
    nodes = proof.nodes[:NODES_SHOWN]
    for node in nodes:
        yield _node(node)
    if len(proof.nodes) > NODES_SHOWN:
        yield f"  and {plural(len(proof.nodes) - NODES_SHOWN, 'more node')}"
    verbs = {step.id: step.verb for step in proof.steps}
    writes = [claim for claim in proof.claims if verbs.get(claim.step) in WRITE_VERBS]
    for node in nodes:
        claim = next((claim for claim in writes if _shows_role(claim, node)), None)
        if claim:
            yield f"  {node.name}  {claim.role:<9}{exchange(claim, verbs[claim.step])}"
    yield ""


def _loads(proof: Proof, record: RunRecord) -> Iterator[str]:
    """How fast each load was answered: all together, and by verb."""
    loads = list(record.of_kind("load_start"))
    for load in loads:
        rows = [row for row in proof.latencies[load["name"]] if not row.node]
        yield f"load {load['name']}, {load['clients']} clients at {load['at']}"
        yield from (f"  {latency_line(row)}" for row in rows)
    if loads:
        yield ""


def _node(node: NodeProof) -> str:
    process = f"pid {node.pid}" if node.pid else "never started"
    text = f"  {node.name}  {node.reported:<16} {node.address:<16} {process}"
    line = truncate(node.startup_line, LOG_LINE_WIDTH)
    return f"{text}  {line}" if line else text


def _shows_role(claim: Claim, node: NodeProof) -> bool:
    """Whether the leader accepted this write, or a follower refused it."""
    kind = claim.outcome.get("kind")
    expected = OutcomeKind.OK if claim.role == "leader" else OutcomeKind.REFUSED
    return claim.node == node.name and kind == expected


def _proven(proof: Proof, width: int) -> Iterator[str]:
    """The checks that hold, in words, a line for each subject."""
    held: dict[Subject, list[CheckResult]] = {}
    for check in proof.checks:
        if check.verdict is Verdict.PASS:
            held.setdefault(subject_of(check.name), []).append(check)
    if not held:
        return
    count = sum(map(len, held.values()))
    steps = plural(sum(step.result == "pass" for step in proof.steps), "step")
    title = "proven" if proof.verdict is Verdict.PASS else "held"
    yield f"{title}, by {plural(count, 'check')} in {steps}"
    for subject in Subject:
        if subject in held:
            words = ", ".join(_words(check) for check in held[subject])
            yield from _wrapped(f"  {subject:<{SUBJECT_WIDTH}}", words, width)


def _words(check: CheckResult) -> str:
    return check.name.replace("_", " ")


def _not_exercised(proof: Proof, width: int) -> Iterator[str]:
    """The gaps of the proof; the checks that had nothing to judge together at the end."""
    idle = [
        check
        for check in proof.checks
        if check.verdict is None and not shown_by_loads(check, proof.checks)
    ]
    names = tuple(f"{check.name}: " for check in idle)
    gaps = [gap for gap in proof.not_proven if not gap.startswith(names)]
    yield "not exercised"
    yield from (truncate(f"  {gap}", width) for gap in gaps)
    if idle:
        words = ", ".join(map(_words, idle))
        yield from _wrapped("  checks with nothing to judge: ", words, width)


def _warnings(proof: Proof, width: int) -> Iterator[str]:
    found = [finding.message for check in proof.checks for finding in check.warnings]
    if found:
        yield "warnings"
    yield from (truncate(f"  {message}", width) for message in found[:FINDINGS_SHOWN])
    if len(found) > FINDINGS_SHOWN:
        yield f"  and {len(found) - FINDINGS_SHOWN} more, in the proof"


def _wrapped(head: str, words: str, width: int) -> list[str]:
    return textwrap.wrap(words, width, initial_indent=head, subsequent_indent=" " * len(head))


def _folded(line: str, width: int) -> list[str]:
    """A request and its reply, or a node: whole at the usual width, on several lines below it."""
    if width >= WIDTH or len(line) <= width:
        return [line]
    return textwrap.wrap(
        line, width, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False
    )
