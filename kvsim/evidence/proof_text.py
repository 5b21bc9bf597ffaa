"""proof.txt: the proof for people, to be read at a glance and pasted. Pure; no colours, no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvsim.checks.expectations import describe
from kvsim.checks.verdict import CheckResult, Finding, Verdict, worst
from kvsim.evidence.load_text import fault_lines, load_lines, picture_lines
from kvsim.evidence.proof import Claim, NodeProof, Proof
from kvsim.evidence.spent import limit_lines
from kvsim.evidence.story import story
from kvsim.history.journal import to_bytes
from kvsim.history.outcome import Outcome, Reason
from kvsim.history.record import Record, StepRecord

MARKS = {
    "pass": "ok",
    "fail": "FAIL",
    "unknown": "UNKNOWN",
    "invalid": "INVALID",
    "skipped": "skipped",
    "": "ended",
}
REPLY_SHOWN = 120
STORIES_SHOWN = 6  # in full; the first ones tell the most
CLAIMS_SHOWN = 6  # of one step on one node: `always` and `eventually` ask many times


def render(proof: Proof, record: Record) -> str:
    """The whole text. Bytes of a node that are no UTF-8 are shown escaped."""
    text = "\n".join(_lines(proof, record)) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _lines(proof: Proof, record: Record) -> Iterator[str]:
    yield f"kvsim proof · {proof.scenario}: {proof.title}"
    yield f"seed {proof.seed} · {record.meta['when']} · kvsim {record.meta['kvsim']}"
    yield ""
    yield "NODES, as they said themselves when asked"
    for node in proof.nodes:
        yield from _node(node)
    if proof.preloaded:
        yield f"  in each of them: kvsim's library for faults of disks and clocks, sha256 {proof.preloaded}"
    yield ""
    yield "WHAT WAS ASKED AND ANSWERED"
    yield from _steps(proof, record)
    yield from _stories(proof, record)
    yield ""
    yield "WHAT WAS PROVEN" if proof.verdict is Verdict.PASS else "WHAT WAS JUDGED"
    for check in proof.checks:
        if check.verdict is not None:
            yield from _check(check)
    yield from load_lines(record, proof.load)
    yield ""
    yield "WHAT WAS NOT PROVEN"
    for line in proof.not_proven:
        yield f"  - {line}"
    yield ""
    yield from _verdict(proof)


def _node(node: NodeProof) -> Iterator[str]:
    process = f"pid {node.pid}" if node.pid else "never started"
    yield f"  {node.name}  {node.said:<16} {process:<12} {node.address:<16} {node.program}, log {node.log}"
    if node.startup_line:
        yield f"      {node.startup_line}"


def _stories(proof: Proof, record: Record) -> Iterator[str]:
    """Every step that did not pass, and every one that a check has something against."""
    blame = _blame(proof)
    telling = [step for step in proof.steps if step.result not in {"pass", "skipped"} or step.id in blame]
    for step in telling[:STORIES_SHOWN]:
        yield ""
        yield from story(record, step, [finding.message for finding in blame.get(step.id, ())])
    if len(telling) > STORIES_SHOWN:
        yield ""
        yield f"(and {len(telling) - STORIES_SHOWN} more steps: {', '.join(s.id for s in telling[STORIES_SHOWN:])})"


def _blame(proof: Proof) -> dict[str, list[Finding]]:
    """Step → what the checks have against it; a missed expectation is told by the step itself."""
    blame: dict[str, list[Finding]] = {}
    missed = {step.id for step in proof.steps if step.result != "pass"}
    for check in proof.checks:
        for finding in check.findings:
            if finding.step and not (check.name == "expectations" and finding.step in missed):
                blame.setdefault(finding.step, []).append(finding)
    return blame


def _steps(proof: Proof, record: Record) -> Iterator[str]:
    group, blame = None, _blame(proof)
    for step in proof.steps:
        if step.group != group:
            group = step.group
            if group:
                yield f"  {group}"
        mark = _mark(step, blame.get(step.id, ()))
        yield from _step(step, mark, [claim for claim in proof.claims if claim.step == step.id])
        yield from fault_lines(record, step.id)


def _mark(step: StepRecord, blame: Iterable[Finding]) -> str:
    """A step is not ok that did what was expected and something else besides."""
    if step.result != "pass":
        return MARKS[step.result]
    return MARKS[worst((finding.verdict for finding in blame), default=Verdict.PASS)]


def _step(step: StepRecord, mark: str, claims: list[Claim]) -> Iterator[str]:
    asked = f"{step.verb} at {step.at}" if step.at else step.text
    expect = f", expected {step.expect}" if step.expect else ""
    yield f"    {mark:<7} {step.id:<5} {asked}{expect}"
    for claim in claims[-CLAIMS_SHOWN:]:
        who = f"{claim.node} ({claim.role}, pid {claim.pid or 'not known'})"
        yield f"              {who}  {_line(claim.sent)}  →  {_answer(claim, step.verb)}"
    if len(claims) > CLAIMS_SHOWN:
        yield f"              (the last {CLAIMS_SHOWN} of {len(claims)} tries)"


def _answer(claim: Claim, verb: str) -> str:
    """What came back. Where nothing came on the wire, what is known besides: a status, stderr, what went wrong."""
    outcome = Outcome.from_json(dict(claim.outcome))
    fate = f"; {claim.fate}" if claim.fate else ""
    reply = _line(claim.received) or outcome.detail or "nothing"
    known = (
        verb != "raw" or outcome.reason is not Reason.UNRECOGNISED
    )  # node.yaml knows no replies to raw bytes
    return f"{reply}   [{describe(outcome).split(':')[0] if known else 'answered'}{fate}]"


def _line(data: str) -> str:
    """Bytes on one line: as text where that loses nothing, else escaped."""
    raw = to_bytes(data).strip(b"\r\n")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    shown = text if text.isprintable() and text else repr(raw)[2:-1]
    return shown if len(shown) <= REPLY_SHOWN else f"{shown[:REPLY_SHOWN]}… ({len(raw)} bytes)"


def _check(check: CheckResult) -> Iterator[str]:
    yield f"  {MARKS[str(check.verdict)]:<7} {check.name:<29} {check.about} ({check.judged} judged)"
    for finding in check.findings:
        step = f"step {finding.step}: " if finding.step else ""
        first, *rest = finding.message.splitlines() or [""]
        yield f"          {step}{first}"
        yield from (f"          {line}" for line in rest)
        yield from (f"            {line}" for line in picture_lines(finding))


def _verdict(proof: Proof) -> Iterator[str]:
    if proof.ended != "finished":
        yield f"the run did not finish: {proof.ended}"
    yield from limit_lines(proof.time_limits)
    yield f"again: {proof.again}"
    yield f"VERDICT: {str(proof.verdict).upper()}"
