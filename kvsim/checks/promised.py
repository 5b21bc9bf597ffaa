"""Judge what the loads of a run did by what its program promises: the history checks, as lines of the run's own proof. Pure.

Which promises: those of the program that the nodes started as leaders run (of the first node where none is).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from kvsim.checks.around import with_logs
from kvsim.checks.consistency.exercised import Minima
from kvsim.checks.consistency.judge import CHECKS, Terms, check
from kvsim.checks.consistency.report import Report
from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.history.record import Record

PREFIX = "load_"
NAMES = frozenset(f"{PREFIX}{name}" for name in CHECKS)  # a scenario may require them in its `checks`


def report_of(record: Record) -> Report | None:
    """The history checks on a run; None when it had no load. Raises UsageError for a promise that is not in the vocabulary."""
    history = record.history
    if history is None:
        return None
    return with_logs(check(history, promises_of(record), terms_of(record)), record)


def promises_of(record: Record) -> Mapping[str, str]:
    """What the program of the run says of itself."""
    plans = list(record.nodes.values())
    leading = next((plan for plan in plans if plan["role"] == "leader"), plans[0])
    return leading["promises"]


def terms_of(record: Record) -> Terms:
    """What the run demands: the minima of its loads, the strictest of each; of a run that was cut short none."""
    wanted = [event["minima"] for event in record.of_kind("load_start")]
    strictest = {
        name: max(_least(minima, name) for minima in wanted) for name in ("before", "during", "after")
    }
    reads = max(_least(minima, "reads") for minima in wanted)
    forwarding = any("forwards" in plan["capabilities"] for plan in record.nodes.values())
    minima = None if record.cut_short else Minima(**strictest, reads_of_writes=reads)
    return Terms(minima=minima, followers_forward=forwarding)


def results(record: Record, report: Report | None, required: Collection[str]) -> list[CheckResult]:
    """The report's checks as the run's: those that judge, those that found something, those that the scenario requires."""
    if report is None:
        return []
    named = [replace(one, name=f"{PREFIX}{one.name}") for one in report.checks]
    told = [_required(one) if one.name in required else one for one in named]
    return [one for one in told if one.verdict is not None] + _enough(record)


def _required(one: CheckResult) -> CheckResult:
    if one.judged or one.findings:
        return one
    text = "the scenario asks for this check, but nothing was there to judge"
    return replace(one, findings=(Finding(text, verdict=Verdict.INVALID),))


MADE = {"total": "operations", "cas": "compare-and-sets that met what they expected"}


def _least(minima: Mapping[str, int | None], name: str) -> int:
    """One, unless something else is written."""
    wanted = minima.get(name)
    return 1 if wanted is None else wanted


def _enough(record: Record) -> list[CheckResult]:
    """Each load did at least as much as it was to do."""
    counts = {event["name"]: event["counts"] for event in record.of_kind("load_stop")}
    loads = list(record.of_kind("load_start"))
    findings = []
    for load in loads:
        told = counts.get(load["name"], {})
        made = {"total": sum(told.get(word, 0) for word in ("ok", "refused", "unknown"))}
        if load["mix"].get("cas"):
            made["cas"] = told.get("cas", 0)
        for name, done in made.items():
            wanted = _least(load["minima"], name)
            if done < wanted:
                text = f"load {load['name']} made {done} {MADE[name]}, {wanted} are wanted"
                findings.append(Finding(text, load["id"], verdict=Verdict.INVALID))
    about = "Every load did as much as it was to do"
    return [CheckResult(f"{PREFIX}loads_did_enough", about, len(loads), tuple(findings))]
