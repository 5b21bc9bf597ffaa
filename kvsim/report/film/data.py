"""What a film shows, as plain values: lanes, operations, processes, roles, faults, logs, verdict. Pure but for the log files.

Built from a Record and its Proof (and the load's History, where there was load). Draws nothing; judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvsim.checks.consistency.answer import Answer
from kvsim.checks.consistency.report import PromiseResult
from kvsim.checks.verdict import Finding, Verdict
from kvsim.evidence.proof import Proof
from kvsim.evidence.story import story
from kvsim.history.history import History
from kvsim.history.journal import Event
from kvsim.history.record import Record, StepRecord
from kvsim.report.film.columns import Strings, packed
from kvsim.report.film.log_lines import log_lines
from kvsim.report.film.operations import Rows
from kvsim.report.film.process_events import process_events
from kvsim.report.film.spans import alive_spans, fault_spans, role_spans
from kvsim.rundir import RunDir

HIGHLIGHTS_LIMIT = 40


def film_data(
    run: RunDir, record: Record, proof: Proof, history: History | None = None, epoch_ns: int = 0
) -> dict[str, Any]:
    """Everything the page needs, ready for JSON. Times are seconds since the run began; `history`'s count from `epoch_ns`."""
    strings = Strings()
    rows = Rows(record, strings)
    if history is not None:
        rows.add_load(history, epoch_ns, _proving(proof))
    columns, places = rows.finish()
    return {
        "about": _about(run, record, proof),
        "nodes": [vars(node) for node in proof.nodes],
        "lanes": rows.lanes,
        "thinned": {"every": rows.thinned, "of": rows.load_total},
        "names": rows.names,
        "operations": packed(columns),
        "steps": [
            _step(record, step, times) for step, times in zip(record.steps, _times(record), strict=True)
        ],
        "checks": [_check(check) for check in proof.checks],
        "violations": list(_violations(record, proof, rows, places)),
        "promises": [_promise(one) for one in (proof.load.promises if proof.load else ())],
        "measured": [_measured(one) for one in (proof.load.checks if proof.load else ()) if one.measured],
        "events": process_events(record),
        "alive": alive_spans(record),
        "roles": role_spans(record, history, epoch_ns),
        "faults": fault_spans(record),
        "logs": log_lines(run, record),
        "not_proven": list(proof.not_proven),
        "strings": strings.all,
    }


def _proving(proof: Proof) -> set[int]:
    """The rows of the load's history that findings name."""
    return {
        row for check in proof.checks for finding in check.findings for row in getattr(finding, "rows", ())
    }


def _about(run: RunDir, record: Record, proof: Proof) -> dict[str, Any]:
    meta = record.meta
    wanted = (
        "kvsim",
        "python",
        "system",
        "when",
        "scenario",
        "title",
        "scenario_file",
        "cluster",
        "seed",
        "again",
    )
    return {
        **{name: meta[name] for name in wanted},
        "verdict": str(proof.verdict),
        "ended": proof.ended,
        "run": run.path.name,
        "broken_off": _broken_off(run),
        "programs": sorted({plan["program"] for plan in record.nodes.values()}),
        "end_s": max((event.at_s for event in record.events), default=0.0),
    }


def _broken_off(run: RunDir) -> str:
    """Why kvsim itself ended the run: a line, and its traceback; mostly nothing."""
    try:
        return run.broken_off.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _times(record: Record) -> Iterator[tuple[float, float | None]]:
    ends = {event["id"]: event.at_s for event in record.of_kind("step_end")}
    return ((event.at_s, ends.get(event["id"])) for event in record.of_kind("step"))


def _step(record: Record, step: StepRecord, times: tuple[float, float | None]) -> dict[str, Any]:
    names = ("id", "group", "verb", "text", "line", "at", "targets", "expect", "result", "why")
    return {
        **{name: getattr(step, name) for name in names},
        "begin_s": times[0],
        "end_s": times[1],
        "story": [] if step.result in {"pass", "skipped"} else story(record, step),
    }


def _check(check) -> dict[str, Any]:
    return {
        "name": check.name,
        "about": check.about,
        "verdict": str(check.verdict or "not exercised"),
        "judged": check.judged,
        "findings": [
            {
                "message": f.message,
                "step": f.step,
                "node": f.node,
                "verdict": str(f.verdict),
                "picture": getattr(f, "picture", ""),
            }
            for f in check.findings
        ],
    }


def _promise(result: PromiseResult) -> dict[str, str]:
    return {
        "promise": result.promise,
        "word": result.word,
        "standing": str(result.standing),
        "why": result.why,
    }


def _measured(check: Answer) -> dict[str, Any]:
    return {"check": check.name, "values": {name: _number(value) for name, value in check.measured.items()}}


def _number(value: object) -> str:
    return (
        f"{value:,.3f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def _violations(record: Record, proof: Proof, rows: Rows, places: list[int]) -> Iterator[dict[str, Any]]:
    """The few operations that show each finding, by their place in the film; a finding without any stands at its step."""
    begins = {event["id"]: event.at_s for event in record.of_kind("step")}
    failed = {finding.step for check in proof.checks for finding in check.findings}
    for check in proof.checks:
        for finding in check.findings[:HIGHLIGHTS_LIMIT]:
            if any(step.startswith(f"{finding.step}.") for step in failed if finding.step):
                continue  # the step that failed inside it says more
            shown = sorted(places[row] for row in rows.of_finding(finding))
            yield {
                "check": check.name,
                "verdict": str(finding.verdict),
                "message": finding.message,
                "step": finding.step,
                "node": finding.node,
                "operations": shown[:HIGHLIGHTS_LIMIT],
                "at_s": begins.get(finding.step) or _when(record, finding),
            }


def _when(record: Record, finding: Finding) -> float | None:
    """When a finding without a step happened: its node's unhappy end, or its failed start."""
    if finding.verdict is Verdict.PASS or not finding.node:
        return None
    return next((event.at_s for event in record.events if _unhappy(event, finding.node)), None)


def _unhappy(event: Event, node: str) -> bool:
    if event.get("node") != node:
        return False
    return event.kind == "start_failed" or (
        event.kind == "exit" and not (event["wanted"] or event.get("tolerated"))
    )
