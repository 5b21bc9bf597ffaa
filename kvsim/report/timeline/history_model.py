"""What a timeline shows of a history alone, of any origin: its operations, and what was judged.

The same plain values as those of a run (see `model`), without steps, processes and logs. A history
whose times count events, such as the lines of a file, is shown with these counts as times.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from msgspec import Struct

import kvsim
from kvsim.checks.consistency.report import Report
from kvsim.checks.consistency.result import ConsistencyResult
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FaultSpan, History
from kvsim.history.operations import NEVER, Operations
from kvsim.report.timeline.judgement import (
    FINDINGS_MAX,
    check_data,
    guarantee_data,
    measured_data,
    rows_of_violations,
)
from kvsim.report.timeline.packed_columns import Strings, pack
from kvsim.report.timeline.rows import NO_NODE, Rows
from kvsim.report.timeline.spans import Span, sampled_role_spans
from kvsim.text import plural

# Where fewer nanoseconds pass for each operation, the times of a history count something else.
REAL_NS_PER_OPERATION = 1_000
NS_PER_S = 1e9
# An event is drawn as a millisecond.
EVENTS_PER_S = 1e3


class HistorySource(Struct, frozen=True):
    """Where a history came from: its file, its format as it is printed, and the command."""

    file: str
    format: str
    command: str


def history_timeline_data(
    history: History, report: Report, source: HistorySource
) -> dict[str, Any]:
    """Everything that the page needs, ready for JSON. Times are since the first call."""
    operations = history.operations
    epoch_ns = min(operations.call_ns, default=0)
    end_ns = _end_ns(operations, epoch_ns)
    counts_events = end_ns - epoch_ns < REAL_NS_PER_OPERATION * len(operations)
    ticks_per_s = EVENTS_PER_S if counts_events else NS_PER_S
    checks = [check for check in report.checks if not check.measures_only]
    strings = Strings()
    nodes = operations.nodes.strings[:NO_NODE]
    rows = Rows(strings, nodes)
    rows.add_load(
        history,
        epoch_ns,
        rows_of_violations(checks),
        purpose="history",
        ticks_per_s=ticks_per_s,
    )
    columns, new_index = rows.finish()
    end_s = (end_ns - epoch_ns) / ticks_per_s
    return {
        "about": _about(history, report, source, counts_events, end_s),
        "nodes": [{"name": node, "role": "", "program": "", "pid": None} for node in nodes],
        "lanes": rows.lanes,
        "thinned": {"every": rows.load_every, "of": rows.load_total},
        "names": rows.names,
        "operations": pack(columns),
        "steps": [],
        "checks": [check_data(check) for check in checks],
        "violations": [
            {
                "check": check.name,
                "verdict": str(finding.verdict),
                "message": finding.message,
                "step": "",
                "node": finding.node,
                **rows.shown(finding, new_index),
                "at_s": None,
            }
            for check in checks
            for finding in check.findings[:FINDINGS_MAX]
        ],
        "guarantees": [guarantee_data(result) for result in report.guarantees],
        "measured": [measured_data(check) for check in report.checks if check.measured],
        "events": [],
        "usage": [],
        "incarnations": [_whole_time(node) for node in nodes],
        "roles": sampled_role_spans(history, epoch_ns, ticks_per_s),
        "faults": [_fault(fault, epoch_ns, ticks_per_s) for fault in history.faults],
        "logs": [],
        "not_proven": [text for check in checks for text in _not_judged(check)],
        "strings": strings.all,
    }


def _end_ns(operations: Operations, epoch_ns: int) -> int:
    """The last time in the history: of a return, or of a call that did not return."""
    returns = (back for back in operations.return_ns if back != NEVER)
    return max(max(operations.call_ns, default=epoch_ns), max(returns, default=epoch_ns))


def _about(
    history: History, report: Report, source: HistorySource, counts_events: bool, end_s: float
) -> dict[str, Any]:
    keys = len(set(history.operations.key))
    return {
        "kvsim": kvsim.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "scenario": source.file,
        "title": Path(source.file).name,
        "repeat_command": source.command,
        "verdict": str(report.verdict),
        "ended": "finished",
        "subject": source.format,
        "operations": "operations",
        "facts": [plural(keys, "key"), plural(len(set(history.operations.process)), "client")],
        "without_findings": _without_findings(report),
        "source": f"Written from {source.file} by kvsim check --report.",
        "crash_report": "",
        "counts_events": counts_events,
        "end_s": end_s,
    }


def _without_findings(report: Report) -> str:
    """What is said first of a history in which nothing was found."""
    if report.verdict is Verdict.PASS:
        return f"{plural(report.operations, 'operation')} read, and no check has a finding."
    return "Nothing could be judged; see what was judged."


def _not_judged(check: ConsistencyResult) -> list[str]:
    return [f"{check.name}: not judged: {left.count:,} {left.why}" for left in check.unjudged]


def _whole_time(node: str) -> Span:
    """A node of which only its roles are known: shown from the beginning to the end."""
    return {
        "node": node,
        "incarnation": 1,
        "pid": None,
        "begin_s": 0.0,
        "ready_s": 0.0,
        "end_s": None,
    }


def _fault(fault: FaultSpan, epoch_ns: int, ticks_per_s: float) -> Span:
    ended = None if fault.ended_ns == NEVER else (fault.ended_ns - epoch_ns) / ticks_per_s
    return {
        "step": "",
        "name": fault.name,
        "kind": fault.kind,
        "nodes": list(fault.nodes),
        "begin_s": (fault.began_ns - epoch_ns) / ticks_per_s,
        "end_s": ended,
        "took_effect": True,
        "evidence": ["recorded in the history"],
        "recovered": ended is not None,
        "recovery": [],
    }
