"""What the leader must show of its own acknowledged writes: shared by the two checks that ask for it. Judges nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvsim.checks.expectations import describe
from kvsim.history.outcome import Kind
from kvsim.history.record import Operation, Record


@dataclass(frozen=True)
class ReadBack:
    """One answered get at a leader, the acknowledged write it must show, and what else it may show."""

    read: Operation
    write: Operation
    allowed: frozenset[str | None]

    @property
    def restarted_between(self) -> bool:
        return (self.read.node, self.read.incarnation) != (self.write.node, self.write.incarnation)

    @property
    def kept(self) -> bool:
        return self.read.outcome.value in self.allowed

    def say(self) -> str:
        wrote = f"`{self.write.verb} {self.write.key}{f' {self.write.value}' if self.write.value else ''}`"
        return f"{self.write.node} acknowledged {wrote}, and later {self.read.node} showed {describe(self.read.outcome)}"


def read_backs(record: Record) -> Iterator[ReadBack]:
    """Every answered get at a leader that follows an acknowledged write of its key, in order.

    A write whose outcome is unknown may have happened: its value is allowed besides. The scenario is a sequence, so
    nothing overlaps.
    """
    last: dict[str, Operation] = {}
    allowed: dict[str, set[str | None]] = {}
    for operation in record.operations:
        key = operation.key
        if key is None or record.role_at(operation.node, operation.invoked_s) != "leader":
            continue
        if operation.is_write:
            _note(operation, last, allowed)
        elif operation.verb == "get" and operation.outcome.kind is Kind.OK and key in last:
            yield ReadBack(operation, last[key], frozenset(allowed[key]))


def _note(write: Operation, last: dict[str, Operation], allowed: dict[str, set[str | None]]) -> None:
    value = write.value if write.verb == "put" else None
    if write.outcome.kind is Kind.OK:
        last[write.key], allowed[write.key] = write, {value}
    elif write.outcome.kind is Kind.UNKNOWN and write.key in last:
        allowed[write.key].add(value)
