"""The consistency checks of what a run's workloads did, as checks of the run itself.

They judge by the guarantees of the program that the nodes started as leaders run (of the first
node where there is no leader), and are named `load_…` in scenarios, proofs and bugs.yaml. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec.structs import replace

from kvsim.checks.consistency.case import CheckOptions, Minima
from kvsim.checks.consistency.check import CHECKS, check
from kvsim.checks.consistency.report import Report
from kvsim.checks.consistency.result import ConsistencyResult
from kvsim.checks.log_context import with_logs
from kvsim.checks.registry import NOTHING_TO_JUDGE
from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.history.build import build_history, incomplete_loads
from kvsim.history.history import History
from kvsim.history.latency import Latency, latencies_of
from kvsim.history.run_record import RunRecord

PREFIX = "load_"
# After a fault a sound leader may refuse for some time: its followers have to come back.
SETTLE_NS = 3_000_000_000
# A scenario may require these in its `checks`.
NAMES = frozenset(f"{PREFIX}{name}" for name in CHECKS)


def report_of(record: RunRecord) -> Report | None:
    """The consistency checks of a run; None when it had no workload.

    Raises UsageError for a guarantee that is not in the vocabulary.
    """
    history = build_history(record)
    if history is None:
        return None
    return judge_loads(record, history, guarantees_of(record), check_options_of(record))


def judge_loads(
    record: RunRecord, history: History, guarantees: Mapping[str, str], options: CheckOptions
) -> Report:
    """The checks of the history of a run. What is missing from it is unknown, and no pass."""
    report = check(history, guarantees, options)
    missing = incomplete_loads(record)
    if missing:
        findings = tuple(
            Finding(INCOMPLETE.format(name), verdict=Verdict.UNKNOWN) for name in missing
        )
        result = ConsistencyResult(
            HISTORY_IS_WHOLE, ABOUT_WHOLE, len(missing), findings, unit="loads"
        )
        report = replace(report, checks=(*report.checks, result))
    return with_logs(report, record)


HISTORY_IS_WHOLE = "history_is_whole"
ABOUT_WHOLE = "What every load did is recorded as a whole"
INCOMPLETE = (
    "the history of load {} is missing, or lacks operations that it made: what follows from them "
    "is not known"
)


def guarantees_of(record: RunRecord) -> Mapping[str, str]:
    """What the program of the run guarantees: guarantee → level, as in its node.yaml."""
    plans = list(record.nodes.values())
    leader = next((plan for plan in plans if plan["role"] == "leader"), plans[0])
    guarantees: Mapping[str, str] = leader["guarantees"]
    return guarantees


def power_loses_s(record: RunRecord) -> float:
    """Of what was acknowledged last before a power cut, so much may be lost, in seconds."""
    return max(float(plan.get("power_loses_s", 0)) for plan in record.nodes.values())


def check_options_of(record: RunRecord) -> CheckOptions:
    """What the run demands: the strictest minima of its workloads; none if it was cut short."""
    demanded = [event["minima"] for event in record.of_kind("load_start")]
    before, during, after, reads = (
        max(_minimum(minima, name) for minima in demanded)
        for name in ("before", "during", "after", "reads")
    )
    minima = Minima(before, during, after, reads)
    forwarding = any("forwards" in plan["capabilities"] for plan in record.nodes.values())
    return CheckOptions(
        minima=None if record.cut_short else minima,
        followers_forward=forwarding,
        leader_serves=True,
        settle_ns=SETTLE_NS,
        survives_power=all(plan.get("survives_power") for plan in record.nodes.values()),
        power_loses_ns=round(power_loses_s(record) * 1e9),
    )


def results(
    record: RunRecord, report: Report | None, required: Collection[str]
) -> list[CheckResult]:
    """The report's checks as checks of the run: those with a verdict, and those required."""
    if report is None:
        return []
    renamed = [replace(result, name=f"{PREFIX}{result.name}") for result in report.checks]
    judged = [_require(result) if result.name in required else result for result in renamed]
    return [
        *(result for result in judged if result.verdict is not None),
        _loads_did_enough(record),
        _loads_were_fast_enough(record),
    ]


REQUIRED_ONLY = "the scenario requires this; the program does not guarantee it in such a run"


def _require(result: ConsistencyResult) -> ConsistencyResult:
    """The result of a required check: it judges, also where no guarantee demands that."""
    about = f"{result.about} ({REQUIRED_ONLY})" if result.measures_only else result.about
    findings = result.findings
    if not (result.judged or findings):
        findings = (Finding(NOTHING_TO_JUDGE, verdict=Verdict.INVALID),)
    return replace(result, about=about, findings=findings, measures_only=False)


COUNTED = {"total": "operations", "cas": "compare-and-sets that found the expected value"}


def _minimum(minima: Mapping[str, int | None], name: str) -> int:
    """The minimum that the load demands; 1 by default."""
    demanded = minima.get(name)
    return 1 if demanded is None else demanded


def _loads_did_enough(record: RunRecord) -> CheckResult:
    counts_of = {event["name"]: event["counts"] for event in record.of_kind("load_stop")}
    loads = list(record.of_kind("load_start"))
    findings = []
    for load in loads:
        counts = counts_of.get(load["name"], {})
        done = {"total": sum(counts.get(kind, 0) for kind in ("ok", "refused", "unknown"))}
        if load["mix"].get("cas"):
            done["cas"] = counts.get("cas", 0)
        for name, count in done.items():
            demanded = _minimum(load["minima"], name)
            if count < demanded:
                text = (
                    f"load {load['name']} made {count} {COUNTED[name]}; its minimum is {demanded}"
                )
                findings.append(Finding(text, load["id"], verdict=Verdict.INVALID))
    about = "Every load did as much as its minima demand"
    return CheckResult(f"{PREFIX}loads_did_enough", about, len(loads), tuple(findings))


def _loads_were_fast_enough(record: RunRecord) -> CheckResult:
    judged, findings = 0, []
    for number, load in enumerate(record.of_kind("load_start"), 1):
        required = load.get("require") or {}
        measured = latencies_of(record, number) if required else []
        if not measured:
            continue
        judged += len(required)
        for text in too_slow(measured[0], required):
            findings.append(Finding(f"load {load['name']}: {text}", load["id"]))
    about = "Every load was answered as fast as its step requires"
    return CheckResult(f"{PREFIX}loads_were_fast_enough", about, judged, tuple(findings))


def too_slow(measured: Latency, required: Mapping[str, float]) -> Iterator[str]:
    """What was slower than required; `measured` is of all answers of the load."""
    for name, limit in required.items():
        if name == "rate":
            if measured.per_s < limit:
                yield f"{measured.per_s:,.0f} operations a second; required: {limit:,.0f}"
            continue
        took_ms = getattr(measured, f"{name.removesuffix('_s')}_ms")
        if took_ms > limit * 1000:
            yield f"{name.removesuffix('_s')} {took_ms:,.1f} ms; required: {limit * 1000:g} ms"
