"""A run as it was recorded: meta, events, operations, logs. Reads a run directory; judges nothing.

Checks, evidence and reports work on a Record only, so that every judgement can be made again from the run directory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kvsim.errors import UsageError
from kvsim.history.journal import Event, read_events, to_bytes
from kvsim.history.outcome import Kind, Outcome
from kvsim.rundir import RunDir

LOG_READ_BYTES = 1 << 20
WRITES = frozenset({"put", "delete"})


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

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @property
    def latency_ms(self) -> float:
        return (self.completed_s - self.invoked_s) * 1000


def operation_of(event: Event) -> Operation:
    """The Operation that an `operation` event holds."""
    fields = dict(event.fields)
    for name in ("sent", "received", "unsolicited"):
        fields[name] = to_bytes(fields.get(name, ""))
    fields["outcome"] = Outcome.from_json(fields["outcome"])
    return Operation(**{name: fields.get(name) for name in _REQUIRED}, **{n: fields[n] for n in _OPTIONAL if n in fields})


_OPTIONAL = ("phase", "unsolicited")
_REQUIRED = tuple(name for name in Operation.__dataclass_fields__ if name not in _OPTIONAL)


@dataclass(frozen=True)
class StepRecord:
    """One step as it went: the `step` event that opened it, its operations, and the `step_end` that closed it."""

    id: str
    group: str
    verb: str
    line: int
    text: str
    targets: tuple[str, ...]
    resolved: str  # how the target became nodes, in words
    expect: str
    result: str  # pass | fail | unknown | skipped | "" when the run ended inside it
    why: str
    operations: tuple[Operation, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)

    def of_purpose(self, *purposes: str) -> tuple[Operation, ...]:
        return tuple(operation for operation in self.operations if operation.purpose in purposes)


class Record:
    """Everything recorded of one run."""

    def __init__(self, meta: Mapping[str, Any], events: list[Event], logs: Mapping[tuple[str, int], str]) -> None:
        self.meta = meta
        self.events = events
        self.logs = logs

    @classmethod
    def load(cls, run: RunDir) -> Record:
        """Read a run directory. Raises UsageError naming the file that cannot be read."""
        events = read_events(run.journal)
        starts = [(e["node"], e["incarnation"]) for e in events if e.kind == "spawn"]
        logs = {start: _read_log(run, *start) for start in starts}
        return cls(_read_meta(run), events, logs)

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
            targets=tuple(begin.get("targets", ())),
            resolved=begin.get("resolved", ""),
            expect=begin.get("expect", ""),
            result=end["result"] if end else "",
            why=end.get("why", "") if end else "",
            operations=tuple(operation for operation in self.operations if operation.step == begin["id"]),
            fields=begin.get("fields", {}),
        )

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """Each node's role as last observed; nodes that never said are left out."""
        return {event["node"]: event["role"] for event in self.of_kind("role") if event.get("role")}

    def role_at(self, node: str, at_s: float) -> str | None:
        """The role a node had last told (or, where it cannot be asked, was given) at a time."""
        told = [e["role"] for e in self.of_kind("role") if e["node"] == node and e.at_s <= at_s and e.get("role")]
        return told[-1] if told else None

    @property
    def end(self) -> Event | None:
        return next(self.of_kind("end"), None)

    def accepted(self, operation: Operation) -> bool:
        return operation.outcome.kind is Kind.OK


def _read_meta(run: RunDir) -> Mapping[str, Any]:
    try:
        return json.loads(run.meta.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{run.meta}: cannot be read: {error}") from error


def _read_log(run: RunDir, node: str, incarnation: int) -> str:
    path = run.log(node, incarnation)
    try:
        with path.open("rb") as file:
            return file.read(LOG_READ_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{path}: a log of the run cannot be read: {error.strerror}") from error
