"""A run as it was recorded: meta, events, operations, logs. Reads a run directory; judges nothing.

Checks, evidence and reports work on a Record only, so that every judgement can be made again from the run directory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kvsim.errors import UsageError
from kvsim.history.addresses import Address, node_at
from kvsim.history.assembled import assemble
from kvsim.history.history import History
from kvsim.history.history_file import load
from kvsim.history.journal import Event, read_events, to_bytes
from kvsim.history.outcome import Kind, Outcome
from kvsim.rundir import RunDir

LOG_READ_BYTES = 1 << 20
WRITES = frozenset({"put", "delete", "cas"})
INTERRUPTED = "interrupted"  # how a run ended that its user ended


@dataclass(frozen=True)
class Operation:
    """One request by kvsim to one node, as it went.

    `purpose` is `step` (the scenario asked), `follow` (a redirect was followed), `role` (asking who a node is) or `readback`
    (reading a key on a node before or after a write; `phase` tells which). Times are seconds since the run began.
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
    expected: str | None = None  # of a cas
    allowed_s: float | None = None  # how long kvsim would have waited for the answer

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @property
    def missed(self) -> bool:
        """A compare-and-set that was answered, and did not meet the value it expected."""
        return self.verb == "cas" and self.outcome.kind is Kind.OK and not self.outcome.done

    @property
    def latency_ms(self) -> float:
        return (self.completed_s - self.invoked_s) * 1000


def operation_of(event: Event) -> Operation:
    """The Operation that an `operation` event holds."""
    fields = dict(event.fields)
    for name in ("sent", "received", "unsolicited"):
        fields[name] = to_bytes(fields.get(name, ""))
    fields["outcome"] = Outcome.from_json(fields["outcome"])
    return Operation(
        **{name: fields.get(name) for name in _REQUIRED}, **{n: fields[n] for n in OPTIONAL if n in fields}
    )


OPTIONAL = ("phase", "unsolicited", "expected", "allowed_s")
_REQUIRED = tuple(name for name in Operation.__dataclass_fields__ if name not in OPTIONAL)


@dataclass(frozen=True)
class StepRecord:
    """One step as it went: the `step` event that opened it, its operations, and the `step_end` that closed it."""

    id: str
    group: str
    verb: str
    line: int
    text: str
    at: str  # the target in the scenario's words
    targets: tuple[str, ...]
    resolved: str  # how the target became nodes, in words
    expect: str
    result: str  # pass | fail | unknown | skipped | "" when the run ended inside it
    why: str
    operations: tuple[Operation, ...]
    wanted: Mapping[str, Any] | None = None  # the expectation with its variables filled in, as JSON

    def of_purpose(self, *purposes: str) -> tuple[Operation, ...]:
        return tuple(operation for operation in self.operations if operation.purpose in purposes)


@dataclass(frozen=True)
class FaultRecord:
    """One fault as it went. `receipts` hold subject, bit, says, evidence; `healed` None: the run ended inside it."""

    id: str  # the step that held it
    kind: str
    nodes: tuple[str, ...]
    settings: Mapping[str, Any]
    required: bool
    began_s: float | None
    ended_s: float | None
    receipts: tuple[Mapping[str, Any], ...] = ()
    healed: bool | None = None
    healing: tuple[str, ...] = ()

    @property
    def bit(self) -> bool:
        """Whether it bit by evidence, and nobody it was meant for escaped; of a link that nobody used nothing is known."""
        bits = [receipt["bit"] for receipt in self.receipts]
        return True in bits and False not in bits

    def lasted(self, begin_s: float, end_s: float) -> bool:
        """Whether it lasted at any moment of a period."""
        if self.began_s is None:
            return False
        return self.began_s <= end_s and (self.ended_s is None or begin_s <= self.ended_s)


class Record:
    """Everything recorded of one run."""

    def __init__(
        self,
        meta: Mapping[str, Any],
        events: list[Event],
        logs: Mapping[tuple[str, int], str],
        loads: Sequence[Path] = (),
    ) -> None:
        self.meta = meta
        self.events = events
        self.logs = logs
        self.loads = loads

    @classmethod
    def load(cls, run: RunDir) -> Record:
        """Read a run directory. Raises UsageError naming the file that cannot be read."""
        events = read_events(run.journal)
        starts = [(e["node"], e["incarnation"]) for e in events if e.kind == "spawn"]
        logs = {start: _read_log(run, *start) for start in starts}
        return cls(_read_meta(run), events, logs, run.loads)

    def of_kind(self, *kinds: str) -> Iterator[Event]:
        return (event for event in self.events if event.kind in kinds)

    @property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """Node name → its plan: role, program, address, …"""
        return self.meta["nodes"]

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(operation_of(event) for event in self.of_kind("operation"))

    @cached_property
    def steps(self) -> tuple[StepRecord, ...]:
        ends = {event["id"]: event for event in self.of_kind("step_end")}
        return tuple(self._step(event, ends.get(event["id"])) for event in self.of_kind("step"))

    def _step(self, begin: Event, end: Event | None) -> StepRecord:
        return StepRecord(
            id=begin["id"],
            group=begin["group"],
            verb=begin["verb"],
            line=begin["line"],
            text=begin["text"],
            at=begin.get("at", ""),
            targets=tuple(begin.get("targets", ())),
            resolved=begin.get("resolved", ""),
            expect=begin.get("expect", ""),
            result=end["result"] if end else "",
            why=end.get("why", "") if end else "",
            operations=tuple(operation for operation in self.operations if operation.step == begin["id"]),
            wanted=begin.get("wanted"),
        )

    @cached_property
    def history(self) -> History | None:
        """All that the loads of the run did, for the consistency checks; None when there was none. Raises HistoryFileError."""
        return assemble(self, map(load, self.loads))

    @cached_property
    def writes(self) -> tuple[Operation, ...]:
        """The writes that the scenario asked for, in order."""
        return tuple(o for o in self.operations if o.is_write and o.purpose in {"step", "follow"})

    @cached_property
    def _told_roles(self) -> Mapping[str, list[Event]]:
        told: dict[str, list[Event]] = {}
        for event in self.of_kind("role"):
            told.setdefault(event["node"], []).append(event)
        return told

    def role_at(self, node: str, at_s: float) -> str | None:
        """The role a node had last told (or, where its program cannot be asked, was given) at a time; None if it never did."""
        before = [event.get("role") for event in self._told_roles.get(node, ()) if event.at_s <= at_s]
        return before[-1] if before else None

    def leader_at(self, at_s: float) -> str | None:
        """The one node that said last that it is the leader, at a time; None when none or several did."""
        leaders = [node for node in self._told_roles if self.role_at(node, at_s) == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    @cached_property
    def faults(self) -> tuple[FaultRecord, ...]:
        """Every fault that was planned, in order."""
        plans = {event["id"]: event for event in self.of_kind("fault_plan")}
        return tuple(self._fault(plan) for plan in plans.values())

    def _fault(self, plan: Event) -> FaultRecord:
        told = [event for event in self.events if event.get("id") == plan["id"]]
        begin = next((event for event in told if event.kind == "fault_begin"), None)
        end = next((event for event in told if event.kind == "fault_end"), None)
        return FaultRecord(
            id=plan["id"],
            kind=plan["fault"],
            nodes=tuple(plan["nodes"]),
            settings=plan["settings"],
            required=plan["required"],
            began_s=begin.at_s if begin else None,
            ended_s=end.at_s if end else None,
            receipts=tuple(event.fields for event in told if event.kind == "fault_receipt"),
            healed=end["healed"] if end else None,
            healing=tuple(end["says"]) if end else (),
        )

    def touched(self, operation: Operation) -> bool:
        """Whether a fault on the operation's node lasted at any moment of it."""
        return self.faulty(operation.node, operation.invoked_s, operation.completed_s)

    def faulty(self, node: str, begin_s: float, end_s: float) -> bool:
        """Whether a fault on a node lasted at any moment of a period."""
        return any(node in fault.nodes and fault.lasted(begin_s, end_s) for fault in self.faults)

    def role_changed(self, node: str) -> bool:
        return len({event.get("role") for event in self._told_roles.get(node, ())}) > 1

    def last_role(self, node: str) -> Event | None:
        """The last word on a node's role."""
        told = self._told_roles.get(node)
        return told[-1] if told else None

    def node_named(self, address: str | None) -> str | None:
        """The node an address means, or the address itself when no node has it."""
        return (node_at(address, self._addresses) or address) if address else None

    @cached_property
    def _addresses(self) -> Mapping[str, Address]:
        return {name: Address(plan["id"], plan["ports"]) for name, plan in self.nodes.items()}

    def capabilities(self, node: str) -> frozenset[str]:
        return frozenset(self.nodes[node]["capabilities"])

    @property
    def end(self) -> Event | None:
        return next(self.of_kind("end"), None)

    @property
    def cut_short(self) -> bool:
        """Whether the run was ended from outside, by its user or together with kvsim: what it lacks proves nothing."""
        return self.end is None or self.end["how"] == INTERRUPTED


def _read_meta(run: RunDir) -> Mapping[str, Any]:
    try:
        return json.loads(run.meta.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{run.meta}: cannot be read: {error}") from error


def _read_log(run: RunDir, node: str, incarnation: int) -> str:
    """A start's own log, and behind it what it wrote into log files in its data directory."""
    path = run.log(node, incarnation)
    try:
        return "".join(_head(one) for one in (path, *sorted(path.parent.glob(f"{incarnation}-*.log"))))
    except OSError as error:
        raise UsageError(f"{path}: a log of the run cannot be read: {error.strerror}") from error


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(LOG_READ_BYTES).decode("utf-8", "replace")
