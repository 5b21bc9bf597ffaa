"""proof.txt: the proof as text, to be read and pasted, without colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kvsim.checks.consistency.report import violation_lines
from kvsim.checks.consistency.result import ConsistencyResult
from kvsim.checks.expectations import describe
from kvsim.checks.verdict import CheckResult, Finding, Verdict, worst
from kvsim.history.journal import to_bytes
from kvsim.history.latency import Latency
from kvsim.history.outcome import Outcome, Reason
from kvsim.history.run_record import LEFT_OUT, FaultRecord, RunRecord, StepRecord
from kvsim.proof.failure_report import failed_steps, failure_report, findings_by_step
from kvsim.proof.proof import Claim, NodeProof, Proof
from kvsim.proof.timeout_usage import time_limit_lines
from kvsim.text import escape, escape_surrogates, format_number, show_bytes

LABELS = {
    "pass": "ok",
    "fail": "FAIL",
    "unknown": "UNKNOWN",
    "invalid": "INVALID",
    "skipped": "skipped",
    "": "ended",
}
EVIDENCE_LABELS = {True: "took effect", False: "NO EFFECT", None: "no traffic"}
REPLY_WIDTH = 120
HTTP_FIRST_LINE = re.compile(
    rb"(?P<request>[A-Z]+ \S+) HTTP/1\.[01](?:\r\n|$)|HTTP/1\.[01] (?P<status>\d{3}[^\r\n]*)"
)
HTTP_CHUNKED = re.compile(rb"^transfer-encoding: *chunked", re.IGNORECASE | re.MULTILINE)
HTTP_CHUNK_SIZE = re.compile(rb"(?:^|\r\n)[0-9A-Fa-f]+(?:\r\n|$)")
HTTP_LOCATION = re.compile(rb"^location:[^\r\n]*", re.IGNORECASE | re.MULTILINE)

# Failure reports in full. The first ones explain the most.
REPORTS_SHOWN = 6

# Claims of one step; `always` and `eventually` make many requests.
CLAIMS_SHOWN = 6


def render(proof: Proof, record: RunRecord) -> str:
    """The whole text. What came from a node is escaped where it is not UTF-8, or would speak to a
    terminal.
    """
    return escape_surrogates(escape("\n".join(_lines(proof, record)) + "\n"))


def _lines(proof: Proof, record: RunRecord) -> Iterator[str]:
    yield f"kvsim proof · {proof.scenario}: {proof.title}"
    yield f"seed {proof.seed} · {record.meta['when']} · kvsim {record.meta['kvsim']}"
    yield f"record {record.digest}: the last link of the chain of its events"
    yield ""
    yield "NODES, as they reported when asked"
    for node in proof.nodes:
        yield from _node(node)
    if proof.preloaded:
        yield (
            "  each started with kvsim's library for faults of disks and clocks, "
            f"sha256 {proof.preloaded}"
        )
    yield ""
    yield "WHAT WAS ASKED AND ANSWERED"
    yield from _steps(proof, record)
    yield from _failure_reports(proof, record)
    yield ""
    yield "WHAT WAS PROVEN" if proof.verdict is Verdict.PASS else "WHAT WAS JUDGED"
    for check in proof.checks:
        if check.verdict is not None:
            yield from _check(check)
    yield from _loads(record, proof)
    yield ""
    yield "WHAT WAS NOT PROVEN"
    for line in proof.not_proven:
        yield f"  - {line}"
    yield ""
    yield from _verdict(proof)


def _node(node: NodeProof) -> Iterator[str]:
    process = f"pid {node.pid}" if node.pid else "never started"
    yield (
        f"  {node.name}  {node.reported:<16} {process:<12} {node.address:<16} "
        f"{node.program}, log {node.log}"
    )
    if node.startup_line:
        yield f"      {node.startup_line}"


def _failure_reports(proof: Proof, record: RunRecord) -> Iterator[str]:
    findings = findings_by_step(proof)
    failed = failed_steps(proof)
    for step in failed[:REPORTS_SHOWN]:
        yield ""
        messages = [finding.message for finding in findings.get(step.id, ())]
        yield from failure_report(record, step, messages)
    more = failed[REPORTS_SHOWN:]
    if more:
        yield ""
        yield f"(and {len(more)} more steps: {', '.join(step.id for step in more)})"


def _steps(proof: Proof, record: RunRecord) -> Iterator[str]:
    group, findings = None, findings_by_step(proof)
    for step in proof.steps:
        if step.group != group:
            group = step.group
            if group:
                yield f"  {group}"
        label = _label(step, findings.get(step.id, ()))
        yield from _step(step, label, [claim for claim in proof.claims if claim.step == step.id])
        yield from _faults(record, step.id)


def _label(step: StepRecord, findings: Iterable[Finding]) -> str:
    """A step that met its expectation is not ok when a check has a finding for it."""
    if step.result != "pass":
        return LABELS[step.result]
    return LABELS[worst((finding.verdict for finding in findings), default=Verdict.PASS)]


def _step(step: StepRecord, label: str, claims: list[Claim]) -> Iterator[str]:
    what = f"{step.verb} at {step.at}" if step.at else step.text
    expect = f", expected {step.expect}" if step.expect else ""
    left_out = f" ({step.why})" if step.result == "skipped" and LEFT_OUT in step.why else ""
    yield f"    {label:<7} {step.id:<5} {what}{expect}{left_out}"
    for claim in claims[-CLAIMS_SHOWN:]:
        node = f"{claim.node} ({claim.role}, pid {claim.pid or 'not known'})"
        yield f"              {node}  {exchange(claim, step.verb)}"
    if len(claims) > CLAIMS_SHOWN:
        yield f"              (the last {CLAIMS_SHOWN} of {len(claims)} requests)"


def exchange(claim: Claim, verb: str) -> str:
    """One request and its reply, on one line."""
    return f"{_one_line(claim.sent)}  →  {_reply(claim, verb)}"


def _reply(claim: Claim, verb: str) -> str:
    """The reply; where no bytes came back, what is known instead: a status, stderr, an error."""
    outcome = Outcome.from_json(dict(claim.outcome))
    # Replies to raw bytes match no rule of node.yaml.
    classified = verb != "raw" or outcome.reason is not Reason.UNRECOGNISED
    kind = describe(outcome).split(":")[0] if classified else "answered"
    effect = f"; {claim.effect}" if claim.effect else ""
    reply = _one_line(claim.received) or outcome.detail or "nothing"
    return f"{reply}   [{kind}{effect}]"


def _one_line(data: str) -> str:
    """Bytes of the journal on one line, without the line end."""
    raw = to_bytes(data).strip(b"\r\n")
    line = show_bytes(_essence_of_http(raw) or raw)
    return line if len(line) <= REPLY_WIDTH else f"{line[:REPLY_WIDTH]}… ({len(raw)} bytes)"


def _essence_of_http(raw: bytes) -> bytes:
    """Of a message of HTTP/1 what a person looks for: method and target, or status and where it
    leads, and the body. Empty for anything else. The journal has all of it."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first = HTTP_FIRST_LINE.match(head)
    if first is None:
        return b""
    if HTTP_CHUNKED.search(head):
        body = HTTP_CHUNK_SIZE.sub(b"", body)
    location = HTTP_LOCATION.search(head)
    parts = (first["request"] or first["status"], location[0].strip() if location else b"", body)
    return b" ".join(part for part in parts if part)


def _faults(record: RunRecord, step: str) -> Iterator[str]:
    """The evidence and the recovery of a step's faults; for a storm, the file of its schedule."""
    if any(event["id"] == step for event in record.of_kind("storm")):
        yield "              its schedule, as an ordinary scenario: replay.yaml"
    for fault in record.faults:
        if fault.id == step:
            yield from _fault(fault)


def _fault(fault: FaultRecord) -> Iterator[str]:
    for item in fault.evidence:
        yield f"              {EVIDENCE_LABELS[item['took_effect']]}: {item['message']}"
    label = "recovered" if fault.recovered else "NOT RECOVERED"
    for message in fault.recovery:
        yield f"              {label}: {message}"


def _check(check: CheckResult) -> Iterator[str]:
    label = LABELS[str(check.verdict)]
    yield f"  {label:<7} {check.name:<29} {check.about} ({check.judged} judged)"
    for finding, count in _distinct(check.findings):
        step = f"step {finding.step}: " if finding.step else ""
        times = f"{count:,} times, first at " if count > 1 and step else ""
        first, *rest = finding.message.splitlines() or [""]
        yield f"          {times}{step}{first}"
        yield from (f"          {line}" for line in rest)
        yield from (f"            {line}" for line in violation_lines(finding))
    for finding in check.warnings:
        yield f"          warning: {finding.message}"


# What the seed draws: a key or a value.
DRAWN = re.compile(r"\b[a-z]-[0-9a-f]{12,16}\b")


def _distinct(findings: Iterable[Finding]) -> Iterator[tuple[Finding, int]]:
    """The first of the findings that say the same, but for what the seed drew, and their number.

    Those that belong to no step are all different.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for number, finding in enumerate(findings):
        same = DRAWN.sub("…", finding.message) if finding.step else str(number)
        groups.setdefault((same, finding.node), []).append(finding)
    return ((group[0], len(group)) for group in groups.values())


def _loads(record: RunRecord, proof: Proof) -> Iterator[str]:
    """What the loads did, and which guarantees were kept; nothing when there was no load."""
    report = proof.load
    if report is None:
        return
    yield ""
    yield "WHAT THE LOADS DID, AND HOW THE PROGRAM'S GUARANTEES STAND"
    stops = {event["name"]: event["counts"] for event in record.of_kind("load_stop")}
    for load in record.of_kind("load_start"):
        counts = stops.get(load["name"], {})
        clients = f"{load['clients']} clients at {load['at']}, {load['key_count']} keys"
        without = (
            f", no {', '.join(left)} (no such request)" if (left := load.get("without")) else ""
        )
        yield f"  {load['name']}: {clients}{without}: {_load_counts(counts)}"
        yield from (f"    {latency_line(item)}" for item in proof.latencies[load["name"]])
    for result in report.guarantees:
        status = str(result.status).upper()
        yield f"  {status:<14} {result.guarantee}: {result.level} ({result.why})"
    for check in report.checks:
        yield from _measured(check)


def latency_line(latency: Latency) -> str:
    """One row: `get n2  1,204 answered, 602/s, p50 0.3 ms, …`."""
    what = " ".join(filter(None, (latency.verb or "all", latency.node)))
    return (
        f"{what:<12} {latency.count:>9,} answered {latency.per_s:>9,.0f}/s  "
        f"p50 {latency.p50_ms:,.2f} ms  p95 {latency.p95_ms:,.2f} ms  "
        f"p99 {latency.p99_ms:,.2f} ms  max {latency.max_ms:,.1f} ms"
    )


def _load_counts(counts: dict[str, int]) -> str:
    done = ", ".join(f"{counts.get(kind, 0):,} {kind}" for kind in ("ok", "refused", "unknown"))
    if "cas" in counts:
        done += (
            f"; of compare-and-sets {counts['cas']:,} set and {counts['cas_missed']:,} found "
            "another value"
        )
    return done


def _measured(check: ConsistencyResult) -> Iterator[str]:
    """What a check found or measured that the program does not guarantee."""
    if not check.measures_only or not (check.found or check.measured):
        return
    parts = [f"{check.found:,} found, not guaranteed"] if check.found else []
    values = [f"{name} {format_number(value)}" for name, value in check.measured.items()]
    parts += [", ".join(values)] if values else []
    yield f"  measured       {check.name}: {'; '.join(parts)}"
    if check.findings:
        yield f"                 such as: {check.findings[0].message}"


def _verdict(proof: Proof) -> Iterator[str]:
    if proof.ended != "finished":
        yield f"the run did not finish: {proof.ended}"
    yield from time_limit_lines(proof.time_limits)
    yield f"again: {proof.repeat_command}"
    if proof.unproven:
        yield f"unproven: {proof.unproven}"
    yield f"VERDICT: {str(proof.verdict).upper()}"
