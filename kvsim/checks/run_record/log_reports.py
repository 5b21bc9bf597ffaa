"""The check of what nodes log: no report of a sanitizer, a panic, a crash of the runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvsim.checks.log_alarms import LogReport, Search, find_reports
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.step_at import step_at
from kvsim.checks.verdict import Finding
from kvsim.history.log_timestamps import log_timestamps
from kvsim.history.run_record import RequestRecord, RunRecord
from kvsim.patterns import searcher
from kvsim.text import truncate

FINDINGS_MAX = 5
REQUEST_WIDTH = 80


@run_check(
    "No node logs a report of a sanitizer, a panic, a failed assertion or a crash of its runtime",
    order=205,
)
def logs_hold_no_alarm(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every log, by the texts that kvsim knows and by `log: {never: …}` of node.yaml; lines
    that match `log: {allow: …}` are left out. A report that a node wrote during or after a fault of
    its disk, or after its data were damaged, is no finding; nor is what a start logged that failed
    on a port of another program.
    """
    blocked = {
        (event["node"], event.get("incarnation"))
        for event in record.of_kind("start_failed")
        if event["why"] == "port"
    }
    judged = {start: text for start, text in record.logs.items() if start not in blocked}
    findings = [
        finding
        for (node, incarnation), text in judged.items()
        for finding in _of_log(record, node, incarnation, text)
    ]
    return len(judged), findings[:FINDINGS_MAX]


def _of_log(record: RunRecord, node: str, incarnation: int, text: str) -> Iterator[Finding]:
    plan = record.nodes[node]
    log = plan.get("log", {})
    never, allow = _searches(log.get("never", ())), _searches(log.get("allow", ()))
    for report in find_reports(text, never, allow):
        offset = len("\n".join(text.splitlines()[: report.line]).encode("utf-8", "replace"))
        times = log_timestamps(record, node, incarnation, len(text.encode("utf-8", "replace")))
        written_s = times.written_by_s(offset)
        if not _explained(record, node, written_s):
            yield _finding(record, node, incarnation, report, written_s)


def _searches(patterns: Iterable[str]) -> tuple[Search, ...]:
    return tuple(map(searcher, patterns))


def _explained(record: RunRecord, node: str, written_s: float) -> bool:
    """Whether a fault of the node's disk or data explains what it logged."""
    return any(
        node in fault.nodes
        and (fault.traits.preloads or fault.traits.damages_data)
        and fault.began_s is not None
        and fault.began_s <= written_s
        for fault in record.faults
    )


def _finding(
    record: RunRecord, node: str, incarnation: int, report: LogReport, written_s: float
) -> Finding:
    step = step_at(record, written_s)
    request = _last_request(record, node, written_s)
    during = f", during step {step}" if step else ""
    sent = repr(request.sent)[1:] if request else ""
    after = f", after {truncate(sent, REQUEST_WIDTH)}" if request else ""
    where = f"nodes/{node}/{incarnation}.log:{report.line}"
    head = f"{node} logged a report of {report.tool} ({where}{during}{after}): {report.lines[0]}"
    return Finding("\n".join((head, *report.lines[1:])), step, node)


def _last_request(record: RunRecord, node: str, at_s: float) -> RequestRecord | None:
    """The scenario's last request to a node by that time."""
    before = [
        one
        for one in record.operations
        if one.node == node and one.invoked_s <= at_s and one.purpose in {"step", "follow"}
    ]
    return before[-1] if before else None
