"""What the nodes logged while a violation happened: joins the logs of a run to a report. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from msgspec import Struct
from msgspec.structs import replace

from kvsim.checks.consistency.report import Report
from kvsim.checks.consistency.result import ConsistencyResult, ReportedLogLine, Violation
from kvsim.history.build import build_history, epoch_ns_of
from kvsim.history.history import History
from kvsim.history.log_timestamps import log_timestamps
from kvsim.history.operations import NEVER, NOWHERE, UNKNOWN
from kvsim.history.run_record import RunRecord
from kvsim.text import plural

# Of a node's lines that differ in more than numbers: half from the beginning, half from the end.
LINES_OF_A_NODE_MAX = 6
LINE_LENGTH_MAX = 200
# A line is read no later than this after it was written: logs are read ten times a second, less
# often on a loaded machine.
READ_WITHIN_S = 0.5
NUMBER = re.compile(r"(0x)?[0-9a-f]*[0-9][0-9a-f]*")
# So many findings of a check get log lines.
FINDINGS_EXPLAINED_MAX = 3


def with_logs(report: Report, record: RunRecord) -> Report:
    """The report, with the lines that the nodes logged during each violation.

    Unchanged when the run had no workload.
    """
    history, epoch_ns = build_history(record), epoch_ns_of(record)
    if history is None or epoch_ns is None:
        return report
    logs = _Logs(record)
    checks = tuple(_explain(result, history, logs, epoch_ns) for result in report.checks)
    return replace(report, checks=checks)


def _explain(
    result: ConsistencyResult, history: History, logs: _Logs, epoch_ns: int
) -> ConsistencyResult:
    findings = [
        _with_lines(finding, history, logs, epoch_ns)
        if number < FINDINGS_EXPLAINED_MAX and isinstance(finding, Violation) and finding.rows
        else finding
        for number, finding in enumerate(result.findings)
    ]
    return replace(result, findings=tuple(findings))


def _with_lines(violation: Violation, history: History, logs: _Logs, epoch_ns: int) -> Violation:
    operations = history.operations
    calls = [operations.call_ns[row] for row in violation.rows]
    ends = [
        operations.return_ns[row]
        for row in violation.rows
        if operations.outcome[row] != UNKNOWN and operations.return_ns[row] != NEVER
    ]
    begin_s, end_s = (min(calls) - epoch_ns) / 1e9, (max([*ends, *calls]) - epoch_ns) / 1e9
    numbers = {operations.node[row] for row in violation.rows} - {NOWHERE}
    nodes = sorted(operations.nodes[number] or "" for number in numbers)
    shown: list[ReportedLogLine] = []
    left: list[str] = []
    for node in nodes:
        lines = logs.between(node, begin_s, end_s)
        distinct = _distinct(lines)
        shown += distinct
        if not lines:
            left.append(f"{node} logged nothing")
        elif len(distinct) < len(lines):
            more = plural(len(lines) - len(distinct), "more line")
            left.append(f"{more} of {node}, most like these")
    shown.sort(key=lambda line: line.at_s)
    return replace(violation, logs=tuple(shown), logs_left="; ".join(left))


def _distinct(lines: list[ReportedLogLine]) -> list[ReportedLogLine]:
    """The first of all lines that differ in numbers only; else many refusals hide the other lines.

    No more than LINES_OF_A_NODE_MAX, from the beginning and from the end.
    """
    first: dict[str, ReportedLogLine] = {}
    for line in lines:
        first.setdefault(NUMBER.sub("#", line.text), line)
    distinct, half = list(first.values()), LINES_OF_A_NODE_MAX // 2
    if len(distinct) <= LINES_OF_A_NODE_MAX:
        return distinct
    return distinct[:half] + distinct[-half:]


class _TimedLine(Struct, frozen=True):
    """A log line; it was written after `after_s`."""

    after_s: float
    line: ReportedLogLine


class _Logs:
    """The lines of every node's logs, split when they are first needed."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self._lines: dict[str, list[_TimedLine]] = {}

    def between(self, node: str, begin_s: float, end_s: float) -> list[ReportedLogLine]:
        """The lines that may have been written in a period."""
        if node not in self._lines:
            self._lines[node] = sorted(self._of_node(node), key=lambda timed: timed.line.at_s)
        lines = self._lines[node]
        first = bisect_right([timed.line.at_s for timed in lines], begin_s)
        return [timed.line for timed in lines[first:] if timed.after_s <= end_s]

    def _of_node(self, node: str) -> Iterator[_TimedLine]:
        for (name, incarnation), text in sorted(self.record.logs.items()):
            if name == node:
                yield from self._of_start(node, incarnation, text)

    def _of_start(self, node: str, incarnation: int, text: str) -> Iterator[_TimedLine]:
        lines = text.splitlines(keepends=True)
        ends = list(accumulate(len(line.encode("utf-8", "replace")) for line in lines))
        times = log_timestamps(self.record, node, incarnation, ends[-1] if ends else 0)
        begun_s = next(
            event.at_s
            for event in self.record.of_kind("spawn")
            if (event["node"], event["incarnation"]) == (node, incarnation)
        )
        for number, (line, end) in enumerate(zip(lines, ends, strict=True), 1):
            read_s, shorter_s = times.written_by_s(end), times.written_after_s(end)
            shown = ReportedLogLine(
                at_s=round(read_s, 3),
                node=node,
                file=f"nodes/{node}/{incarnation}.log",
                line=number,
                text=line.rstrip("\r\n")[:LINE_LENGTH_MAX],
            )
            after_s = max(begun_s if shorter_s is None else shorter_s, read_s - READ_WITHIN_S)
            yield _TimedLine(after_s, shown)
