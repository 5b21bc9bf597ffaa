"""What a timeline shows, as plain values: lanes, operations, processes, roles, faults, logs,
verdict.

Made from a RunRecord, its Proof and the History of its loads. Reads only the log files beside
them. Draws nothing and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import asdict

from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.build import epoch_ns_of
from kvsim.history.history import History
from kvsim.history.journal import Event
from kvsim.history.run_record import RunRecord, StepRecord
from kvsim.proof.failure_report import failure_report
from kvsim.proof.proof import Proof
from kvsim.report.timeline.judgement import (
    FINDINGS_MAX,
    check_data,
    guarantee_data,
    measured_data,
    rows_of_violations,
)
from kvsim.report.timeline.log_lines import log_lines
from kvsim.report.timeline.packed_columns import Strings, pack
from kvsim.report.timeline.process_events import process_events
from kvsim.report.timeline.rows import Rows
from kvsim.report.timeline.spans import fault_spans, incarnation_spans, role_spans
from kvsim.run_directory import RunDirectory
from kvsim.text import plural

ABOUT_FIELDS = ("kvsim", "python", "system", "scenario", "title", "repeat_command")
STEP_FIELDS = ("id", "group", "verb", "text", "line", "at", "targets", "expect", "result", "why")


def timeline_data(
    run: RunDirectory, record: RunRecord, proof: Proof, history: History | None = None
) -> dict[str, Any]:
    """Everything that the page needs, ready for JSON. Times are seconds since the run began.

    `history` is that of the loads; None: there was no load, or it cannot be read.
    """
    epoch_ns = epoch_ns_of(record) or 0
    strings = Strings()
    rows = Rows(strings, record.nodes, (event["id"] for event in record.of_kind("step")))
    rows.add_requests(record.operations)
    if history is not None:
        rows.add_load(history, epoch_ns, rows_of_violations(proof.checks))
    columns, new_index = rows.finish()
    load_checks = proof.load.checks if proof.load else ()
    return {
        "about": _about(run, record, proof),
        "nodes": [asdict(node) for node in proof.nodes],
        "lanes": rows.lanes,
        "thinned": {"every": rows.load_every, "of": rows.load_total},
        "names": rows.names,
        "operations": pack(columns),
        "steps": list(_steps(record)),
        "checks": [check_data(check) for check in proof.checks],
        "violations": list(_violations(record, proof, rows, new_index)),
        "guarantees": [
            guarantee_data(result) for result in (proof.load.guarantees if proof.load else ())
        ],
        "measured": [measured_data(check) for check in load_checks if check.measured],
        "events": process_events(record),
        "usage": [{"at_s": event.at_s, **event.fields} for event in record.of_kind("usage")],
        "incarnations": incarnation_spans(record),
        "roles": role_spans(record, history, epoch_ns),
        "faults": fault_spans(record),
        "logs": log_lines(run, record),
        "not_proven": list(proof.not_proven),
        "strings": strings.all,
    }


def _about(run: RunDirectory, record: RunRecord, proof: Proof) -> dict[str, Any]:
    programs = sorted({plan["program"] for plan in record.nodes.values()})
    return {
        **{name: record.meta[name] for name in ABOUT_FIELDS},
        "verdict": str(proof.verdict),
        "ended": proof.ended,
        "subject": record.meta["scenario"],
        "operations": "requests",
        "facts": [
            f"{plural(len(proof.nodes), 'node')}, {', '.join(programs)}",
            f"seed {record.meta['seed']}",
            record.meta["when"],
            f"record {record.digest}",
        ],
        "without_findings": _without_findings(proof, len(record.steps)),
        # As it was when the run was made: a copy elsewhere gives the same page.
        "source": f"Written from {record.meta.get('directory', run.path.name)}; kvsim report "
        "writes it again, kvsim verify judges the run again.",
        "crash_report": _crash_report(run),
        "counts_events": False,
        "end_s": max((event.at_s for event in record.events), default=0.0),
    }


def _without_findings(proof: Proof, steps: int) -> str:
    """What is said first of a run in which nothing was found."""
    if proof.verdict is Verdict.PASS:
        return f"{plural(steps, 'step')} met their expectations, and no check has a finding."
    if steps:
        return "Something that had to be judged could not be; see what was judged."
    return "Nothing was tested, so nothing is proven."


def _crash_report(run: RunDirectory) -> str:
    """The error in kvsim that ended the run: a line, and its traceback; usually empty."""
    try:
        return run.crash_report.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _steps(record: RunRecord) -> Iterator[dict[str, Any]]:
    ends = {event["id"]: event.at_s for event in record.of_kind("step_end")}
    for step, event in zip(record.steps, record.of_kind("step"), strict=True):
        yield _step(record, step, event.at_s, ends.get(event["id"]))


def _step(
    record: RunRecord, step: StepRecord, begin_s: float, end_s: float | None
) -> dict[str, Any]:
    passed = step.result in {"pass", "skipped"}
    return {
        **{name: getattr(step, name) for name in STEP_FIELDS},
        "begin_s": begin_s,
        "end_s": end_s,
        "report": [] if passed else failure_report(record, step),
    }


def _violations(
    record: RunRecord, proof: Proof, rows: Rows, new_index: list[int]
) -> Iterator[dict[str, Any]]:
    """The operations that show each finding, by their rows; a finding without operations is shown
    at its step."""
    begins = {event["id"]: event.at_s for event in record.of_kind("step")}
    failed = {finding.step for check in proof.checks for finding in check.findings}
    for check in proof.checks:
        for finding in check.findings[:FINDINGS_MAX]:
            # A failed step inside the finding's step shows more.
            if any(step.startswith(f"{finding.step}.") for step in failed if finding.step):
                continue
            yield {
                "check": check.name,
                "verdict": str(finding.verdict),
                "message": finding.message,
                "step": finding.step,
                "node": finding.node,
                **rows.shown(finding, new_index),
                "at_s": begins.get(finding.step) or _node_failure_s(record, finding),
            }


def _node_failure_s(record: RunRecord, finding: Finding) -> float | None:
    """When the node of a finding without a step failed: at its unexpected end or failed start."""
    if finding.verdict is Verdict.PASS or not finding.node:
        return None
    return next((event.at_s for event in record.events if _failed(event, finding.node)), None)


def _failed(event: Event, node: str) -> bool:
    if event.get("node") != node:
        return False
    return event.kind == "start_failed" or (
        event.kind == "exit" and not (event["requested"] or event.get("tolerated"))
    )
