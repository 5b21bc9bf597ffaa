"""The judgement of a recorded run: claims, each tied to bytes, a process and a log line; checks;
what was not proven; the verdict.

A pure function of the RunRecord: the same run directory always gives the same proof.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from kvsim.checks.consistency.report import Report, to_json
from kvsim.checks.registry import apply
from kvsim.checks.verdict import CheckResult, Verdict, downgrade_invalid, worst
from kvsim.checks.write_effect import effect_of
from kvsim.history.journal import Event, to_text
from kvsim.history.latency import Latency, latencies_of
from kvsim.history.run_record import RequestRecord, RunRecord, StepRecord
from kvsim.proof.coverage_gaps import coverage_gaps
from kvsim.proof.timeout_usage import time_limits_json
from kvsim.structs import to_dict

STARTUP_LINE_WIDTH = 200
STEP_FIELDS = (
    "id",
    "group",
    "verb",
    "at",
    "line",
    "text",
    "targets",
    "resolved",
    "expect",
    "result",
    "why",
)


class NodeProof(Struct, frozen=True):
    """One node: its role and program, what it reported of itself, and which process it was.

    `startup_line` is the first line of its log, `end` how its process ended.
    """

    name: str
    role: str
    reported: str
    program: str
    address: str
    pid: int | None
    start_ticks: int | None
    log: str
    startup_line: str
    end: str


class Claim(Struct, frozen=True):
    """One step on one node: the request, the bytes in both directions, and the outcome.

    `effect` is the effect of a write that a follower received; otherwise empty.
    """

    step: str
    node: str
    role: str
    pid: int | None
    connection: str
    at_s: float
    sent: str
    received: str
    outcome: Mapping[str, Any]
    effect: str = ""


class Proof(Struct, frozen=True):
    """The judgement of one run.

    `load` states which guarantees of the program were kept in the loads of the run, `latencies` how
    fast each load was answered. `time_limits`
    is how limits were adapted and how much of each was used. `preloaded` is the digest of the
    library that was loaded into the nodes for faults of disks and clocks. `unproven`: why the run
    cannot pass, because what its nodes answered is not understood for certain.
    """

    verdict: Verdict
    scenario: str
    title: str
    seed: int
    repeat_command: str
    ended: str
    nodes: tuple[NodeProof, ...]
    steps: tuple[StepRecord, ...]
    claims: tuple[Claim, ...]
    checks: tuple[CheckResult, ...]
    not_proven: tuple[str, ...]
    load: Report | None = None
    latencies: Mapping[str, Sequence[Latency]] = field(default_factory=dict)
    time_limits: Mapping[str, Any] | None = None
    preloaded: str | None = None
    unproven: str = ""

    def to_json(self) -> dict[str, Any]:
        """Everything but the digests of the files, as plain values."""
        return {
            "verdict": str(self.verdict),
            "scenario": self.scenario,
            "title": self.title,
            "seed": self.seed,
            "repeat_command": self.repeat_command,
            "ended": self.ended,
            "nodes": [asdict(node) for node in self.nodes],
            "steps": [_step_json(step) for step in self.steps],
            "claims": [asdict(claim) for claim in self.claims],
            "checks": [_check_json(check) for check in self.checks],
            "not_proven": list(self.not_proven),
            "load": self.load and to_json(self.load),
            "latencies": {
                name: [latency.to_json() for latency in measured]
                for name, measured in self.latencies.items()
            },
            "time_limits": self.time_limits,
            "preloaded": self.preloaded,
            "unproven": self.unproven,
        }


class Judgement(Struct, frozen=True):
    """What checks find in a record; the rest of a proof is read from the record as it is."""

    verdict: Verdict
    not_proven: tuple[str, ...]
    claims: tuple[Claim, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    load: Report | None = None
    latencies: Mapping[str, Sequence[Latency]] = field(default_factory=dict)
    time_limits: Mapping[str, Any] | None = None
    preloaded: str | None = None
    unproven: str = ""


def judge(record: RunRecord) -> Proof:
    """The proof that a record supports."""
    return _proof(record, _judgement(record))


def unjudged(record: RunRecord, why: str) -> Proof:
    """The proof of a record that could not be judged, so that it can be shown: never a pass."""
    gap = f"nothing at all: what was recorded could not be judged ({why})"
    return _proof(record, Judgement(Verdict.UNKNOWN, not_proven=(gap,)))


def _proof(record: RunRecord, judgement: Judgement) -> Proof:
    return Proof(
        scenario=record.meta["scenario"],
        title=record.meta["title"],
        seed=record.meta["seed"],
        repeat_command=record.meta["repeat_command"],
        ended=_ended(record),
        nodes=tuple(_node(record, name) for name in record.nodes),
        steps=record.steps,
        **asdict(judgement),
    )


def _judgement(record: RunRecord) -> Judgement:
    required = record.meta.get("checks", ())
    report, workload_results = _judge_workloads(record, required)
    checks = apply(record, required) + workload_results
    if record.cut_short:
        checks = [downgrade_invalid(check) for check in checks]
    return Judgement(
        verdict=_verdict(record, checks),
        not_proven=coverage_gaps(record, checks),
        claims=tuple(_claims(record)),
        checks=tuple(checks),
        load=report,
        latencies={
            load["name"]: latencies_of(record, number)
            for number, load in enumerate(record.of_kind("load_start"), 1)
        },
        time_limits=time_limits_json(record),
        preloaded=record.meta.get("preloaded"),
        unproven=record.meta.get("unproven", ""),
    )


def _judge_workloads(
    record: RunRecord, required: Collection[str]
) -> tuple[Report | None, list[CheckResult]]:
    """The consistency report of the run's loads, and its checks; None when it had no load."""
    if not any(record.of_kind("load_start")):
        return None, []
    # Late: importing the consistency checks takes longer than judging a run without a load.
    from kvsim.checks.workload_checks import report_of, results

    report = report_of(record)
    return report, results(record, report, required)


def _ended(record: RunRecord) -> str:
    if record.end is None:
        return "kvsim itself was ended in the middle of the run"
    return str(record.end["how"])


def _verdict(record: RunRecord, checks: list[CheckResult]) -> Verdict:
    verdicts = [check.verdict for check in checks if check.verdict]
    if record.end is None or record.end["how"] != "finished":
        verdicts.append(Verdict.UNKNOWN)
    if record.meta.get("unproven"):
        verdicts.append(Verdict.UNKNOWN)
    tested = any(step.result and step.result != "skipped" for step in record.steps)
    if not (tested or record.cut_short):
        verdicts.append(Verdict.INVALID)
    return worst(verdicts)


def _node(record: RunRecord, name: str) -> NodeProof:
    plan = record.nodes[name]
    reported = record.last_role(name)
    spawn = _last_event(record, "spawn", name)
    return NodeProof(
        name=name,
        role=(reported and reported.get("role")) or plan["role"],
        reported=_reported(reported),
        program=plan["program"],
        address=plan["address"],
        pid=spawn["pid"] if spawn else None,
        start_ticks=spawn["start_ticks"] if spawn else None,
        log=f"nodes/{name}/{spawn['incarnation']}.log" if spawn else "",
        startup_line=_startup_line(record, name, spawn["incarnation"]) if spawn else "",
        end=_end(record, name),
    )


def _last_event(record: RunRecord, kind: str, node: str) -> Event | None:
    events = [event for event in record.of_kind(kind) if event["node"] == node]
    return events[-1] if events else None


def _reported(event: Event | None) -> str:
    if event is None:
        return "not asked"
    return f"{event['how']} {event.get('role') or ''}".strip()


def _startup_line(record: RunRecord, name: str, incarnation: int) -> str:
    lines = record.logs[name, incarnation].splitlines()
    return lines[0][:STARTUP_LINE_WIDTH] if lines else ""


def _end(record: RunRecord, name: str) -> str:
    exited = _last_event(record, "exit", name)
    if exited is None:
        return "left running" if record.meta["attached"] else ""
    return str(exited["description"])


def _claims(record: RunRecord) -> Iterator[Claim]:
    for operation in record.operations:
        if operation.purpose in {"step", "follow"}:
            yield _claim(record, operation)


def _claim(record: RunRecord, operation: RequestRecord) -> Claim:
    role = record.role_at(operation.node, operation.invoked_s)
    elsewhere = operation.is_write and role != "leader"
    return Claim(
        step=operation.step,
        node=operation.node,
        role=role or "unknown",
        pid=_owner(record, operation),
        connection=operation.connection,
        at_s=operation.invoked_s,
        sent=to_text(operation.sent),
        received=to_text(operation.received),
        outcome=operation.outcome.to_json(),
        effect=str(effect_of(record, operation)) if elsewhere else "",
    )


def _owner(record: RunRecord, operation: RequestRecord) -> int | None:
    """The node's process that listened on the port of the operation's connection; None: no process
    of the node did."""
    key = (operation.node, operation.incarnation, operation.connection)
    for event in record.of_kind("owner"):
        if (event["node"], event["incarnation"], event["connection"]) == key and event["owned"]:
            pid: int | None = event["pid"]
            return pid
    return None


def _step_json(step: StepRecord) -> dict[str, Any]:
    values = {name: getattr(step, name) for name in STEP_FIELDS}
    return {**values, "targets": list(step.targets)}


def _check_json(check: CheckResult) -> dict[str, Any]:
    return {
        "name": check.name,
        "about": check.about,
        "verdict": str(check.verdict or "not exercised"),
        "judged": check.judged,
        "findings": [
            {**to_dict(finding), "verdict": str(finding.verdict)} for finding in check.findings
        ],
        "warnings": [
            {"message": finding.message, "step": finding.step, "node": finding.node}
            for finding in check.warnings
        ],
    }
