"""A run as it was recorded: meta, events, requests, logs. Reads a run directory; judges nothing.

Checks, proofs and reports read only this, so that `kvsim verify` can judge a run directory again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from msgspec import Struct, field

from kvsim.errors import UsageError
from kvsim.file_formats import other_format
from kvsim.folders import find_paths
from kvsim.history.history import FaultTraits
from kvsim.history.journal import Event, decode_json, last_link, read_events, to_bytes
from kvsim.history.json_types import problem_text
from kvsim.history.node_lookup import NodeIdentifiers, node_at
from kvsim.history.outcome import BEFORE_THE_REQUEST, Outcome, OutcomeKind, Reason
from kvsim.history.record_schema import EVENTS, FOLLOWS, META, RECORD_FORMAT
from kvsim.run_directory import RunDirectory, open_file, read_file
from kvsim.text import decode_log

Built = TypeVar("Built")

LOG_BYTES_MAX = 1 << 20
# Begins the reason of a step whose needs the program does not meet.
# `how` of a role that nothing says.
UNKNOWN_ROLE = "cannot be asked"
LEFT_OUT = "left out: "
WRITE_VERBS = frozenset({"put", "delete", "cas"})
# `how` of the `end` event when the user ended the run.
INTERRUPTED = "interrupted"
# Why a reply that began was not whole.
UNENDED = frozenset({Reason.TIMEOUT, Reason.CLOSED})
# The kind of event that notes when kvsim itself, or one of its loads, did not run.
CLOCK_GAP = "clock_gap"


class RequestRecord(Struct, frozen=True):
    """One request by kvsim to one node, and its response.

    `purpose` is `step` (a step of the scenario), `follow` (a redirect was followed), `role` (a
    status request), `readback` (a read of a key on a node before or after a write, as `phase` says)
    or `final` (a read of a key on a node after all faults and loads had ended). Times are seconds
    since the run began. `expected` is the value that a cas expected, `allowed_s` the time-out of
    the request. `status` is an exit status or an HTTP status; a client command has `stderr`.
    """

    id: int
    step: str
    purpose: str
    node: str
    incarnation: int
    verb: str
    key: str | None
    value: str | None
    sent: bytes
    received: bytes
    invoked_s: float
    completed_s: float
    connection: str
    outcome: Outcome
    phase: str = ""
    unsolicited: bytes = b""
    expected: str | None = None
    allowed_s: float | None = None
    status: int | None = None
    stderr: bytes = b""

    @property
    def is_write(self) -> bool:
        return self.verb in WRITE_VERBS

    @property
    def missed(self) -> bool:
        """Whether this is a compare-and-set that did not find the expected value."""
        return self.verb == "cas" and self.outcome.kind is OutcomeKind.OK and not self.outcome.done

    @property
    def latency_ms(self) -> float:
        return (self.completed_s - self.invoked_s) * 1000


def request_of(event: Event) -> RequestRecord:
    """The request that an `operation` event holds."""
    fields: dict[str, Any] = {name: event.get(name) for name in _REQUIRED}
    fields |= {name: event[name] for name in OPTIONAL if name in event.fields}
    for name in ("sent", "received", "unsolicited", "stderr"):
        fields[name] = to_bytes(event.get(name, ""))
    fields["outcome"] = Outcome.from_json(event["outcome"])
    return RequestRecord(**fields)


# The fields that an event leaves out when they are empty.
OPTIONAL = ("phase", "unsolicited", "expected", "allowed_s", "status", "stderr")
_REQUIRED = tuple(name for name in RequestRecord.__struct_fields__ if name not in OPTIONAL)


class StepRecord(Struct, frozen=True):
    """One step of the run: its `step` event, its requests and its `step_end` event.

    `at` is the target in the scenario's words, `resolved` how it was resolved to `targets`, its
    nodes. `result` is `pass`, `fail`, `unknown` or `skipped`; empty: the run ended inside the step.
    `expectation` is the expectation with its variables filled in, as JSON. `took_s`: from its
    beginning to its end, 0 where it has none.
    """

    id: str
    group: str
    verb: str
    line: int
    text: str
    at: str
    targets: tuple[str, ...]
    resolved: str
    expect: str
    result: str
    why: str
    operations: tuple[RequestRecord, ...]
    expectation: Mapping[str, Any] | None = None
    took_s: float = 0.0

    def of_purpose(self, *purposes: str) -> tuple[RequestRecord, ...]:
        """The step's requests with one of `purposes`."""
        return tuple(operation for operation in self.operations if operation.purpose in purposes)


# In the message of a recovery: the node got the files that it had before the fault.
FILES_BACK = "it got its files back"


class FaultRecord(Struct, frozen=True):
    """One fault of the run.

    `id` is the id of its step. Each item of `evidence` has `subject`, `took_effect`, `message` and
    `measured`. `recovered` is None when the run ended while the fault lasted.
    """

    id: str
    kind: str
    nodes: tuple[str, ...]
    settings: Mapping[str, Any]
    required: bool
    began_s: float | None
    ended_s: float | None
    traits: FaultTraits = field(default_factory=FaultTraits)
    evidence: tuple[Mapping[str, Any], ...] = ()
    recovered: bool | None = None
    recovery: tuple[str, ...] = ()

    @property
    def gave_files_back(self) -> bool:
        """Whether a node did not start from what the fault left, and got its files back."""
        return any(FILES_BACK in message for message in self.recovery)

    @property
    def took_effect(self) -> bool:
        """Whether it took effect on one subject at least, and failed to on none.

        A link without traffic (None) counts neither way.
        """
        effects = [item["took_effect"] for item in self.evidence]
        return True in effects and False not in effects

    def lasted(self, begin_s: float, end_s: float) -> bool:
        """Whether it lasted at any moment of a period."""
        if self.began_s is None:
            return False
        return self.began_s <= end_s and (self.ended_s is None or begin_s <= self.ended_s)


class ClockGap(Struct, frozen=True):
    """A time in which kvsim itself (`of`: or one of its loads) was stopped or got no processor."""

    of: str
    began_s: float
    ended_s: float

    def __str__(self) -> str:
        return f"{self.of} itself did not run for {self.ended_s - self.began_s:.1f} s"

    def overlaps(self, begin_s: float, end_s: float) -> bool:
        return self.began_s <= end_s and begin_s <= self.ended_s


class RunRecord:
    """Everything recorded of one run.

    `logs` maps (node, incarnation) to the text of that log. `loads` are the files of the loads'
    histories. `digest` is the last link of the journal's chain: of two runs, or of a run before and
    after an edit, it is not the same.
    """

    def __init__(
        self,
        meta: Mapping[str, Any],
        events: list[Event],
        logs: Mapping[tuple[str, int], str],
        loads: Sequence[Path] = (),
        digest: str = "",
    ) -> None:
        self.meta = meta
        self.events = events
        self.logs = logs
        self.loads = loads
        self.digest = digest
        self._built: dict[object, Any] = {}

    @classmethod
    def load(cls, run: RunDirectory) -> RunRecord:
        """Read a run directory, and check everything that it holds against the schema of runs.

        Raises UsageError naming the file, and the line, that cannot be read.
        """
        meta = read_meta(run)
        events = _checked_events(run, meta)
        starts = [(e["node"], e["incarnation"]) for e in events if e.kind == "spawn"]
        logs = {start: _read_log(run, *start) for start in starts}
        return cls(meta, events, logs, run.loads, last_link(run.journal))

    def built(self, build: Callable[[RunRecord], Built]) -> Built:
        """`build(self)`, computed by the first call and kept."""
        if build not in self._built:
            self._built[build] = build(self)
        value: Built = self._built[build]
        return value

    def of_kind(self, *kinds: str) -> Iterator[Event]:
        return (event for event in self.events if event.kind in kinds)

    @property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """Node name → its plan: role, program, address, …"""
        nodes: Mapping[str, Mapping[str, Any]] = self.meta["nodes"]
        return nodes

    @cached_property
    def operations(self) -> tuple[RequestRecord, ...]:
        return tuple(request_of(event) for event in self.of_kind("operation"))

    @cached_property
    def steps(self) -> tuple[StepRecord, ...]:
        ends = {event["id"]: event for event in self.of_kind("step_end")}
        targets = {event["id"]: event for event in self.of_kind("step", "step_target")}
        return tuple(
            self._step(event, targets[event["id"]], ends.get(event["id"]))
            for event in self.of_kind("step")
        )

    def _step(self, begin: Event, target: Event, end: Event | None) -> StepRecord:
        """`target` is the last event that says which nodes the step is for.

        A step that failed while kvsim itself did not run is `unknown`, and one that failed inside
        a fault without effect is `invalid`: what it expected was never to be expected.
        """
        result, why = (end["result"], end.get("why", "")) if end else ("", "")
        gap = self.gap_in_step(begin["id"]) if result == "fail" else None
        without = self._fault_without_effect(begin["id"]) if result == "fail" else ""
        flooded = self._flooded_before(end.at_s) if end and result == "fail" else ""
        if flooded:
            result, why = "invalid", f"{why} (kvsim had killed {flooded}: its log was too large)"
        elif without:
            result, why = "invalid", f"{why} (the fault of step {without} had no effect)"
        elif gap:
            result, why = "unknown", f"{why} ({gap})"
        elif result in ("fail", "unknown") and (program := self._misdescribed(begin["id"])):
            result = "unknown"
            why = (
                f"{why}; no reply of {program} was whole in this run: `speak` in its node.yaml may "
                "describe wrongly what it sends"
            )
        return StepRecord(
            id=begin["id"],
            group=begin["group"],
            verb=begin["verb"],
            line=begin["line"],
            text=begin["text"],
            at=begin.get("at", ""),
            targets=tuple(target.get("targets", ())),
            resolved=target.get("resolved", ""),
            expect=begin.get("expect", ""),
            result=result,
            why=why,
            operations=tuple(
                operation for operation in self.operations if operation.step == begin["id"]
            ),
            expectation=begin.get("expectation"),
            took_s=max(0.0, end.at_s - begin.at_s) if end else 0.0,
        )

    @cached_property
    def writes(self) -> tuple[RequestRecord, ...]:
        """The writes that steps of the scenario sent, in order."""
        return tuple(
            request
            for request in self.operations
            if request.is_write and request.purpose in {"step", "follow"}
        )

    @cached_property
    def _role_events(self) -> Mapping[str, list[Event]]:
        events: dict[str, list[Event]] = {}
        for event in self.of_kind("role"):
            events.setdefault(event["node"], []).append(event)
        return events

    def role_at(self, node: str, at_s: float) -> str | None:
        """The role that a node had last reported at a time; None: it had reported none.

        A node that has ended since has none. A node whose program has no status request has the
        role that the cluster file gives it.
        """
        report = self._last_report(node, at_s)
        if report is None or self._ended_between(node, report.at_s, at_s):
            return None
        role: str | None = report.get("role")
        return role

    def term_at(self, node: str, at_s: float) -> str:
        """The term that a node had last reported at a time; empty: it had reported none."""
        report = self._last_report(node, at_s)
        return str(report["fields"].get("term", "")) if report and report["fields"] else ""

    def led_throughout(self, node: str, begin_s: float, end_s: float) -> bool:
        """Whether a node reported that it leads before a period, and next after it again, in the
        same term and by the same process.
        """
        before = self._last_report(node, begin_s)
        after = next((e for e in self._role_events.get(node, ()) if e.at_s >= end_s), None)
        if before is None or after is None:
            return False
        same = all(report.get("role") == "leader" for report in (before, after))
        terms = {report["fields"].get("term", "") for report in (before, after)}
        ended = self._ended_between(node, before.at_s, after.at_s)
        return same and len(terms) == 1 and not ended

    def leader_at(self, at_s: float) -> str | None:
        """The node that had last reported at a time that it leads; None: no node, or several."""
        leaders = [node for node in self._role_events if self.role_at(node, at_s) == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def led_until_its_end(self, node: str, at_s: float) -> bool:
        """Whether a node has ended, and reported that it leads when it was asked last before."""
        report = self._last_report(node, at_s)
        if report is None or report.get("role") != "leader":
            return False
        return self._ended_between(node, report.at_s, at_s)

    def _last_report(self, node: str, at_s: float) -> Event | None:
        before = [event for event in self._role_events.get(node, ()) if event.at_s <= at_s]
        return before[-1] if before else None

    @cached_property
    def _ends(self) -> Mapping[str, list[float]]:
        ends: dict[str, list[float]] = {}
        for event in self.of_kind("exit"):
            ends.setdefault(event["node"], []).append(event.at_s)
        return ends

    def _ended_between(self, node: str, begin_s: float, end_s: float) -> bool:
        return any(begin_s <= at_s <= end_s for at_s in self._ends.get(node, ()))

    @cached_property
    def faults(self) -> tuple[FaultRecord, ...]:
        """Every fault that was planned, in order."""
        plans = {event["id"]: event for event in self.of_kind("fault_plan")}
        return tuple(self._fault(plan) for plan in plans.values())

    def _fault(self, plan: Event) -> FaultRecord:
        events = [event for event in self.events if event.get("id") == plan["id"]]
        begin = next((event for event in events if event.kind == "fault_begin"), None)
        end = next((event for event in events if event.kind == "fault_end"), None)
        return FaultRecord(
            id=plan["id"],
            kind=plan["fault"],
            nodes=tuple(plan["nodes"]),
            settings=plan["settings"],
            required=plan["required"],
            began_s=begin.at_s if begin else None,
            ended_s=end.at_s if end else None,
            traits=FaultTraits(**plan.get("traits", {})),
            evidence=tuple(event.fields for event in events if event.kind == "fault_evidence"),
            recovered=end["recovered"] if end else None,
            recovery=tuple(end["messages"]) if end else (),
        )

    def _flooded_before(self, at_s: float) -> str:
        """A node that kvsim had killed by then because of the size of its log."""
        floods = (event for event in self.of_kind("exit") if event.get("flooded"))
        return next((event["node"] for event in floods if event.at_s <= at_s), "")

    @cached_property
    def _faults_without_effect(self) -> tuple[str, ...]:
        """The steps whose fault certainly had no effect on one of its subjects."""
        return tuple(
            fault.id
            for fault in self.faults
            if any(item["took_effect"] is False for item in fault.evidence)
        )

    def _fault_without_effect(self, step: str) -> str:
        """The step of a fault without effect that holds this step, or that it holds or is."""
        for fault in self._faults_without_effect:
            if f"{step}.".startswith(f"{fault}.") or fault.startswith(f"{step}."):
                return fault
        return ""

    @cached_property
    def _whole_replies(self) -> frozenset[str]:
        """The programs of which kvsim got at least one whole reply."""
        answered = {request.node for request in self.operations if request.outcome.answered} | {
            request.node
            for request in self.operations
            if request.outcome.reason is Reason.UNRECOGNISED
        }
        pinged = {event["node"] for event in self.of_kind("ready") if "ping" in event["probes"]}
        return frozenset(self.nodes[node]["program"] for node in answered | pinged)

    def _misdescribed(self, step: str) -> str:
        """The program of a node that answered a request of the step, but not as `speak` describes:
        what it has to send before a request did not come, or its reply did not end. Empty: none,
        or another reply of the program was whole.
        """
        for request in self.operations:
            if request.step != step or request.purpose not in {"step", "follow"}:
                continue
            outcome = request.outcome
            before = outcome.detail.startswith(BEFORE_THE_REQUEST)
            unended = outcome.reason in UNENDED and request.received
            program = str(self.nodes[request.node].get("program", ""))
            if (before or unended) and program not in self._whole_replies:
                return program
        return ""

    def touched(self, request: RequestRecord) -> bool:
        """Whether a fault on the request's node lasted at any moment of the request."""
        return self.faulty(request.node, request.invoked_s, request.completed_s)

    def faulty(self, node: str, begin_s: float, end_s: float) -> bool:
        """Whether a fault on a node lasted at any moment of a period."""
        return any(node in fault.nodes and fault.lasted(begin_s, end_s) for fault in self.faults)

    @cached_property
    def clock_gaps(self) -> tuple[ClockGap, ...]:
        """What kvsim measured across these is not known."""
        return tuple(
            ClockGap(event["of"], event["began_s"], event["ended_s"])
            for event in self.of_kind(CLOCK_GAP)
        )

    def gap_in_step(self, step: str) -> ClockGap | None:
        """A gap between the last event before a step and its end; without a step, any gap."""
        if not self.clock_gaps:
            return None
        begin_s, end_s = self._step_spans.get(step, (0.0, math.inf))
        return next((gap for gap in self.clock_gaps if gap.overlaps(begin_s, end_s)), None)

    @cached_property
    def _step_spans(self) -> Mapping[str, tuple[float, float]]:
        """Step id → from the last event before its roles were asked for, to its end."""
        spans: dict[str, tuple[float, float]] = {}
        before_s = 0.0
        for event in self.events:
            about = event.get("step") if event.kind == "role" else event.get("id")
            if about and event.kind in {"role", "step", "step_end"}:
                begin_s = spans[about][0] if about in spans else before_s
                spans[about] = (begin_s, math.inf if event.kind != "step_end" else event.at_s)
            if event.kind != CLOCK_GAP:
                before_s = event.at_s
        return spans

    def role_changed(self, node: str) -> bool:
        """Whether a node reported more than one role in the run."""
        return len({event.get("role") for event in self._role_events.get(node, ())}) > 1

    def last_role(self, node: str) -> Event | None:
        """A node's last `role` event."""
        events = self._role_events.get(node)
        return events[-1] if events else None

    def node_named(self, address: str | None) -> str | None:
        """The node that `address` names, or `address` itself when it names no node."""
        return (node_at(address, self._identifiers) or address) if address else None

    @cached_property
    def _identifiers(self) -> Mapping[str, NodeIdentifiers]:
        return {
            name: NodeIdentifiers(plan["id"], plan["ports"], plan.get("hosts", ()))
            for name, plan in self.nodes.items()
        }

    @property
    def lag(self) -> str:
        """Whether a follower shows a write that the leader acknowledged: must | may | never."""
        return str(self.meta.get("lag", {}).get("follower", "may"))

    @property
    def lag_within_s(self) -> float:
        """The time that an acknowledged write has to reach the other nodes."""
        return float(self.meta.get("lag", {}).get("within_s", 0.0))

    def capabilities(self, node: str) -> frozenset[str]:
        """What the node's program can do, as its node.yaml declares."""
        return frozenset(self.nodes[node]["capabilities"])

    @property
    def end(self) -> Event | None:
        """The `end` event; None: kvsim ended before it could write one."""
        return next(self.of_kind("end"), None)

    @property
    def cut_short(self) -> bool:
        """Whether the run ended before its time, by its user or because kvsim ended.

        Then nothing follows from what its record lacks.
        """
        return self.end is None or self.end["how"] == INTERRUPTED


def read_meta(run: RunDirectory) -> Mapping[str, Any]:
    """The content of meta.json. Raises UsageError when it is none, or has another format."""
    try:
        meta = decode_json(read_file(run.meta))
    except ValueError as error:
        raise UsageError(f"{run.meta}: is not JSON: {error}") from error
    if isinstance(meta, dict) and meta.get("format") != RECORD_FORMAT:
        raise UsageError(other_format(f"{run.meta}: a run", meta, RECORD_FORMAT))
    if problem := problem_text(META, meta):
        raise UsageError(f"{run.meta}: is not the description of a run: {problem}")
    return cast(Mapping[str, Any], meta)


def read_run_events(run: RunDirectory) -> list[Event]:
    """The events of a run. Raises UsageError with file and line where they are none."""
    return _checked_events(run, read_meta(run))


def _checked_events(run: RunDirectory, meta: Mapping[str, Any]) -> list[Event]:
    """The events, each with the fields of its kind. Raises UsageError with file and line."""
    events = read_events(run.journal)
    earlier: set[tuple[object, ...]] = set()
    for number, event in enumerate(events, 1):
        if problem := _problem_of(event, meta, earlier):
            raise UsageError(
                f"{run.journal}:{number}: not an event of this run: {event.kind}: {problem}"
            )
        for kind, names in FOLLOWS.values():
            if kind == event.kind:
                earlier.add((kind, names, *map(event.get, names)))
    return events


def _problem_of(event: Event, meta: Mapping[str, Any], earlier: set[tuple[object, ...]]) -> str:
    schema = EVENTS.get(event.kind)
    if schema is None:
        return ""
    if problem := problem_text(schema, event.fields):
        return problem
    for name in (event.get("node"), *event.get("targets", ())):
        if name is not None and name not in meta["nodes"]:
            return f"the run has no node {name!r}"
    kind, names = FOLLOWS.get(event.kind, ("", ()))
    if kind and (kind, names, *map(event.get, names)) not in earlier:
        about = " ".join(str(event[name]) for name in names)
        return f"no `{kind}` of {about} is before it"
    return ""


def _read_log(run: RunDirectory, node: str, incarnation: int) -> str:
    """The output of one incarnation, then the log files that it wrote in its data directory."""
    path = run.log(node, incarnation)
    return "".join(map(_head, (path, *find_paths(path.parent, f"{incarnation}-*.log"))))


def _head(path: Path) -> str:
    with open_file(path) as file:
        return decode_log(file.read(LOG_BYTES_MAX))
