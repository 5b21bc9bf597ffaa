"""Judge a recorded run: claims, each tied to bytes, a process and a log line; checks; what was not proven; the verdict.

A pure function of the Record, so that anybody can judge again from the run directory and must get the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kvsim.checks.consistency.report import Report, to_json
from kvsim.checks.fate import fate_of
from kvsim.checks.promised import report_of, results
from kvsim.checks.table import apply
from kvsim.checks.verdict import CheckResult, Verdict, of_a_cut_run, worst
from kvsim.evidence.spent import limits_json, spent
from kvsim.evidence.unproven import not_proven
from kvsim.history.journal import to_text
from kvsim.history.record import Operation, Record, StepRecord


@dataclass(frozen=True)
class NodeProof:
    """One node: what it was given, what it said, and which process it was."""

    name: str
    role: str
    said: str
    program: str
    address: str
    pid: int | None
    start_ticks: int | None
    log: str
    startup_line: str
    end: str


@dataclass(frozen=True)
class Claim:
    """One step on one node: what was asked, the bytes both ways, and what came of it."""

    step: str
    node: str
    role: str
    pid: int | None
    connection: str
    at_s: float
    sent: str
    received: str
    outcome: Mapping[str, Any]
    fate: str = ""


@dataclass(frozen=True)
class Proof:
    """The judgement of one run."""

    verdict: Verdict
    scenario: str
    title: str
    seed: int
    again: str
    ended: str
    nodes: tuple[NodeProof, ...]
    steps: tuple[StepRecord, ...]
    claims: tuple[Claim, ...]
    checks: tuple[CheckResult, ...]
    not_proven: tuple[str, ...]
    load: Report | None = None  # what the loads of the run showed, by what the program promises
    time_limits: Mapping[str, Any] | None = None  # how they were meant, and what was used of each
    preloaded: str | None = None  # the digest of what was loaded into the nodes to break them from inside

    def to_json(self) -> dict[str, Any]:
        """Everything but the digests of the files, as plain values."""
        return {
            "verdict": str(self.verdict),
            "scenario": self.scenario,
            "title": self.title,
            "seed": self.seed,
            "again": self.again,
            "ended": self.ended,
            "nodes": [vars(node) for node in self.nodes],
            "steps": [_step_json(step) for step in self.steps],
            "claims": [vars(claim) for claim in self.claims],
            "checks": [_check_json(check) for check in self.checks],
            "not_proven": list(self.not_proven),
            "load": self.load and to_json(self.load),
            "time_limits": self.time_limits,
            "preloaded": self.preloaded,
        }


def judge(record: Record) -> Proof:
    """The proof that a record supports."""
    required = record.meta.get("checks", ())
    report = report_of(record)
    checks = apply(record, required) + results(record, report, required)
    if record.cut_short:
        checks = [of_a_cut_run(check) for check in checks]
    return Proof(
        verdict=_verdict(record, checks),
        scenario=record.meta["scenario"],
        title=record.meta["title"],
        seed=record.meta["seed"],
        again=record.meta["again"],
        ended=_ended(record),
        nodes=tuple(_node(record, name) for name in record.nodes),
        steps=record.steps,
        claims=tuple(_claim(record, o) for o in record.operations if o.purpose in {"step", "follow"}),
        checks=tuple(checks),
        not_proven=not_proven(record, checks),
        load=report,
        time_limits=limits_json(record, spent(record)),
        preloaded=record.meta.get("preloaded"),
    )


def unjudged(record: Record, why: str) -> Proof:
    """What there is to say of a record that could not be judged, for whoever wants to look at it: never a pass."""
    return Proof(
        verdict=Verdict.UNKNOWN,
        scenario=record.meta["scenario"],
        title=record.meta["title"],
        seed=record.meta["seed"],
        again=record.meta["again"],
        ended=_ended(record),
        nodes=tuple(_node(record, name) for name in record.nodes),
        steps=record.steps,
        claims=(),
        checks=(),
        not_proven=(f"nothing at all: what was recorded could not be judged ({why})",),
    )


def _ended(record: Record) -> str:
    return record.end["how"] if record.end else "kvsim itself was ended in the middle of the run"


def _verdict(record: Record, checks: list[CheckResult]) -> Verdict:
    verdicts = [check.verdict for check in checks if check.verdict]
    if record.end is None or record.end["how"] != "finished":
        verdicts.append(Verdict.UNKNOWN)
    tested = any(step.result and step.result != "skipped" for step in record.steps)
    if not (tested or record.cut_short):
        verdicts.append(Verdict.INVALID)
    return worst(verdicts)


def _node(record: Record, name: str) -> NodeProof:
    plan = record.nodes[name]
    spawn = next((e for e in reversed(list(record.of_kind("spawn"))) if e["node"] == name), None)
    told = record.last_role(name)
    return NodeProof(
        name=name,
        role=(told and told.get("role")) or plan["role"],
        said=f"{told['how']} {told.get('role') or ''}".strip() if told else "was never asked",
        program=plan["program"],
        address=plan["address"],
        pid=spawn and spawn["pid"],
        start_ticks=spawn and spawn["start_ticks"],
        log=f"nodes/{name}/{spawn['incarnation']}.log" if spawn else "",
        startup_line=_startup_line(record, name, spawn["incarnation"]) if spawn else "",
        end=_end(record, name),
    )


def _startup_line(record: Record, name: str, incarnation: int) -> str:
    lines = record.logs[name, incarnation].splitlines()
    return lines[0][:200] if lines else ""


def _end(record: Record, name: str) -> str:
    exits = [event for event in record.of_kind("exit") if event["node"] == name]
    return exits[-1]["says"] if exits else "left running" if record.meta["attached"] else ""


def _claim(record: Record, operation: Operation) -> Claim:
    follower_write = operation.is_write and record.role_at(operation.node, operation.invoked_s) == "follower"
    return Claim(
        step=operation.step,
        node=operation.node,
        role=record.role_at(operation.node, operation.invoked_s) or "unknown",
        pid=_owner(record, operation),
        connection=operation.connection,
        at_s=operation.invoked_s,
        sent=to_text(operation.sent),
        received=to_text(operation.received),
        outcome=operation.outcome.to_json(),
        fate=str(fate_of(record, operation)) if follower_write else "",
    )


def _owner(record: Record, operation: Operation) -> int | None:
    """The process that owned the listening port of the operation's connection, when that was ours."""
    wanted = (operation.node, operation.incarnation, operation.connection)
    for event in record.of_kind("owner"):
        if (event["node"], event["incarnation"], event["connection"]) == wanted and event["ours"]:
            return event["pid"]
    return None


def _step_json(step: StepRecord) -> dict[str, Any]:
    names = ("id", "group", "verb", "at", "line", "text", "targets", "resolved", "expect", "result", "why")
    return {name: list(value) if isinstance(value := getattr(step, name), tuple) else value for name in names}


def _check_json(check: CheckResult) -> dict[str, Any]:
    return {
        "name": check.name,
        "about": check.about,
        "verdict": str(check.verdict or "not exercised"),
        "judged": check.judged,
        "findings": [{**asdict(finding), "verdict": str(finding.verdict)} for finding in check.findings],
    }
