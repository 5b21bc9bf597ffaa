"""What the leader must show of its own acknowledged writes: shared by the two checks that ask for it. Judges nothing itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kvsim.checks.expectations import describe
from kvsim.history.outcome import Kind
from kvsim.history.record import Operation, Record


@dataclass(frozen=True)
class Acknowledged:
    """A write that was acknowledged, and the leader that has to have it since: its node and incarnation."""

    write: Operation
    keeper: tuple[str, int]
    forwarded: bool = False


@dataclass(frozen=True)
class ReadBack:
    """One answered get at a leader, the acknowledged write it must show, and what else it may show."""

    read: Operation
    acknowledged: Acknowledged
    allowed: frozenset[str | None]

    @property
    def restarted_between(self) -> bool:
        return (self.read.node, self.read.incarnation) != self.acknowledged.keeper

    @property
    def kept(self) -> bool:
        return self.read.outcome.value in self.allowed

    def say(self) -> str:
        write = self.acknowledged.write
        wrote = f"`{write.verb} {write.key}{f' {write.value}' if write.value else ''}`"
        return f"{write.node} acknowledged {wrote}, and later {self.read.node} showed {describe(self.read.outcome)}"


def read_backs(record: Record) -> Iterator[ReadBack]:
    """Every answered get at a leader that follows an acknowledged write of its key, in order.

    A write whose outcome is unknown may have happened: its value is allowed besides. A write that a follower acknowledged
    counts where its program forwards writes; while its step lasts it may be on its way. The scenario is a sequence, so
    nothing overlaps.
    """
    last: dict[str, Acknowledged] = {}
    allowed: dict[str, set[str | None]] = {}
    lives: dict[str, int] = {}
    for operation in record.operations:
        lives[operation.node] = operation.incarnation
        if operation.key is None:
            continue
        if operation.is_write:
            keeper = _keeper(record, operation, lives)
            if keeper:
                _note(operation, keeper, last, allowed)
        elif _is_judged(record, operation, last):
            yield ReadBack(operation, last[operation.key], frozenset(allowed[operation.key]))


def _keeper(record: Record, write: Operation, lives: dict[str, int]) -> tuple[str, int] | None:
    """Who has to have the write if it is acknowledged; None for a follower that keeps it to itself."""
    if record.role_at(write.node, write.invoked_s) == "leader":
        return write.node, write.incarnation
    leader = record.leader_at(write.invoked_s) if "forwards" in record.capabilities(write.node) else None
    return (leader, lives.get(leader, 1)) if leader else None


def _is_judged(record: Record, operation: Operation, last: dict[str, Acknowledged]) -> bool:
    if operation.verb != "get" or operation.outcome.kind is not Kind.OK or operation.key not in last:
        return False
    acknowledged = last[operation.key]
    on_its_way = acknowledged.forwarded and operation.step == acknowledged.write.step
    return not on_its_way and record.role_at(operation.node, operation.invoked_s) == "leader"


def _note(
    write: Operation,
    keeper: tuple[str, int],
    last: dict[str, Acknowledged],
    allowed: dict[str, set[str | None]],
) -> None:
    value = write.value
    if write.missed:
        return  # it changed nothing
    if write.outcome.kind is Kind.OK:
        last[write.key] = Acknowledged(write, keeper, forwarded=keeper[0] != write.node)
        allowed[write.key] = {value}
    elif write.outcome.kind is Kind.UNKNOWN and write.key in last:
        allowed[write.key].add(value)
