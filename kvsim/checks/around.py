"""What the nodes of a run logged while a violation happened: joined to a report from the record. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from kvsim.checks.consistency.answer import Answer, LogLine, Violation, plural
from kvsim.checks.consistency.report import Report
from kvsim.history.history import History
from kvsim.history.log_times import log_times
from kvsim.history.operations import NEVER, NOWHERE, UNKNOWN
from kvsim.history.record import Record

LINES_OF_A_NODE = 6  # the first line of each shape; of many, half next to the beginning, half next to the end
LINE_SHOWN = 200
LOOK_S = (
    0.5  # what was written is seen by then: logs are looked at ten times a second, less on a loaded machine
)
NUMBER = re.compile(r"(0x)?[0-9a-f]*[0-9][0-9a-f]*")
EXPLAINED = 3  # findings of one check


def with_logs(report: Report, record: Record) -> Report:
    """`report` with what the nodes that a violation names had logged meanwhile."""
    history = record.history
    epoch_ns = next((event["epoch_ns"] for event in record.of_kind("load_start")), None)
    if history is None or epoch_ns is None:
        return report
    logs = _Logs(record)
    return replace(report, checks=tuple(_explained(one, history, logs, epoch_ns) for one in report.checks))


def _explained(check: Answer, history: History, logs: _Logs, epoch_ns: int) -> Answer:
    findings = [
        _with_lines(finding, history, logs, epoch_ns)
        if place < EXPLAINED and isinstance(finding, Violation) and finding.rows
        else finding
        for place, finding in enumerate(check.findings)
    ]
    return replace(check, findings=tuple(findings))


def _with_lines(finding: Violation, history: History, logs: _Logs, epoch_ns: int) -> Violation:
    operations = history.operations
    calls = [operations.call_ns[row] for row in finding.rows]
    ends = [
        operations.return_ns[row]
        for row in finding.rows
        if operations.outcome[row] != UNKNOWN and operations.return_ns[row] != NEVER
    ]
    begin_s, end_s = (min(calls) - epoch_ns) / 1e9, (max([*ends, *calls]) - epoch_ns) / 1e9
    numbers = {operations.node[row] for row in finding.rows} - {NOWHERE}
    nodes = sorted(operations.nodes[number] or "" for number in numbers)
    shown: list[LogLine] = []
    left: list[str] = []
    for node in nodes:
        lines = logs.between(node, begin_s, end_s)
        kept = _telling(lines)
        shown += kept
        if not lines:
            left.append(f"{node} logged nothing")
        elif len(kept) < len(lines):
            left.append(f"{plural(len(lines) - len(kept), 'more line')} of {node}, most like these")
    shown.sort(key=lambda line: line.at_s)
    return replace(finding, logs=tuple(shown), logs_left="; ".join(left))


def _telling(lines: list[LogLine]) -> list[LogLine]:
    """One line of each shape: a thousand refusals say no more than one, and hide the line that tells."""
    shapes: dict[str, LogLine] = {}
    for line in lines:
        shapes.setdefault(NUMBER.sub("#", line.text), line)
    kept, half = list(shapes.values()), LINES_OF_A_NODE // 2
    return kept if len(kept) <= LINES_OF_A_NODE else kept[:half] + kept[-half:]


@dataclass(frozen=True)
class _Line:
    """A log line, and the time after which it was written."""

    after_s: float
    line: LogLine


class _Logs:
    """The lines of every node's logs, made when they are first asked for."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._lines: dict[str, list[_Line]] = {}

    def between(self, node: str, begin_s: float, end_s: float) -> list[LogLine]:
        """The lines that may have been written then: seen by then or later, and not seen before."""
        if node not in self._lines:
            self._lines[node] = sorted(self._of(node), key=lambda one: one.line.at_s)
        lines = self._lines[node]
        first = bisect_right([one.line.at_s for one in lines], begin_s)
        return [one.line for one in lines[first:] if one.after_s <= end_s]

    def _of(self, node: str) -> Iterator[_Line]:
        for (name, incarnation), text in sorted(self.record.logs.items()):
            if name == node:
                yield from self._of_start(node, incarnation, text)

    def _of_start(self, node: str, incarnation: int, text: str) -> Iterator[_Line]:
        lines = text.splitlines(keepends=True)
        ends = list(accumulate(len(line.encode("utf-8", "replace")) for line in lines))
        times = log_times(self.record, node, incarnation, ends[-1] if ends else 0)
        begun_s = next(
            event.at_s
            for event in self.record.of_kind("spawn")
            if (event["node"], event["incarnation"]) == (node, incarnation)
        )
        for number, (line, end) in enumerate(zip(lines, ends, strict=True), 1):
            seen_s, not_yet_s = times.seen_s(end), times.not_yet_s(end)
            shown = LogLine(
                round(seen_s, 3),
                node,
                f"nodes/{node}/{incarnation}.log",
                number,
                line.rstrip("\r\n")[:LINE_SHOWN],
            )
            yield _Line(max(begun_s if not_yet_s is None else not_yet_s, seen_s - LOOK_S), shown)
