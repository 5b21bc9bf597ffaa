"""What a write on a follower did, told apart by reading the key back on every node before and after it. Pure.

It needs a value that nobody else writes (scenarios draw them from the seed); with a value that was there before, a write
that was stored cannot be told from one that was not, and the fate is `unclear`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from kvsim.history.outcome import Kind, Outcome, Reason
from kvsim.history.record import Operation, Record


class Fate(StrEnum):
    REFUSED = "refused"  # and no node shows it
    REDIRECTED = "redirected"  # refused, naming the leader
    STORED_ANYWAY = "refused, but stored"
    MISMATCHED = "answered that the expected value is not there, and no node shows the new one"
    MISMATCHED_BUT_STORED = "answered that the expected value is not there, but stored the new one"
    FORWARDED = "accepted and forwarded: the leader has it"
    DIVERGED = "accepted, and the replicas diverged: the leader does not have it"
    NO_EFFECT = "accepted, but no node shows it"
    UNANSWERED = "unanswered"
    CONNECTION_LOST = "connection lost"
    FAILED_BUT_STORED = "failed, but stored"
    FAILED = "failed otherwise"
    UNCLEAR = "not told apart: the key could not be read back, or showed this already"


ACCEPTED = {Fate.FORWARDED, Fate.DIVERGED, Fate.NO_EFFECT}
LEFT_A_TRACE = {Fate.STORED_ANYWAY, Fate.MISMATCHED_BUT_STORED, Fate.FAILED_BUT_STORED}

Reading = Outcome | None


def fate(
    write: Operation, before: Mapping[str, Reading], after: Mapping[str, Reading], leader: str | None
) -> Fate:
    """Tell one write apart. `before` and `after` are each node's reading of the key; `leader` is the true leader's name."""
    shown = [node for node, reading in after.items() if shows(write, before.get(node), reading)]
    readable = any(_value(reading) is not _UNREAD for reading in after.values())
    outcome = write.outcome
    if write.missed:
        return _mismatched(shown, readable)
    if outcome.kind is Kind.OK:
        had_it = _agrees(write, after.get(leader)) if leader else False
        return _accepted(shown, leader, readable and not had_it)
    if outcome.kind is Kind.REFUSED:
        return _refused(outcome, shown, readable)
    return _unknown(outcome, shown)


def _accepted(shown: list[str], leader: str | None, can_tell: bool) -> Fate:
    if leader in shown:
        return Fate.FORWARDED
    if shown:
        return Fate.DIVERGED
    return Fate.NO_EFFECT if can_tell else Fate.UNCLEAR


def _mismatched(shown: list[str], readable: bool) -> Fate:
    if shown:
        return Fate.MISMATCHED_BUT_STORED
    return Fate.MISMATCHED if readable else Fate.UNCLEAR


def _refused(outcome: Outcome, shown: list[str], readable: bool) -> Fate:
    if shown:
        return Fate.STORED_ANYWAY
    if not readable:
        return Fate.UNCLEAR
    return Fate.REDIRECTED if outcome.leader else Fate.REFUSED


def _unknown(outcome: Outcome, shown: list[str]) -> Fate:
    if outcome.reason is Reason.UNRECOGNISED:
        return Fate.FAILED_BUT_STORED if shown else Fate.FAILED
    return Fate.CONNECTION_LOST if outcome.reason in {Reason.RESET, Reason.CLOSED} else Fate.UNANSWERED


def shows(write: Operation, before: Reading, after: Reading) -> bool:
    """True when a node shows the write's effect now and did not before."""
    was, now = _value(before), _value(after)
    if now is _UNREAD or was == now:
        return False
    return now == write.value if write.value is not None else now is None and was is not _UNREAD


def _agrees(write: Operation, reading: Reading) -> bool:
    """Does a node show what the write asks for, whether or not it was there before?"""
    now = _value(reading)
    return now == write.value


class _Unread:
    pass


_UNREAD = _Unread()


def _value(reading: Reading) -> object:
    """The value that was read, None for absent, _UNREAD when the read told nothing."""
    if reading is None or reading.kind is not Kind.OK:
        return _UNREAD
    return reading.value


def fate_of(record: Record, write: Operation) -> Fate:
    """A write's fate, from the read-backs recorded around it."""
    before, after = read_back(record, write)
    return fate(write, before, after, record.leader_at(write.invoked_s))


def read_back(record: Record, write: Operation) -> tuple[dict[str, Reading], dict[str, Reading]]:
    """Node → what it answered for the key before and after the write; of several answers the one next to, or longest after, it."""
    before: dict[str, Reading] = {}
    after: dict[str, Reading] = {}
    for operation in record.operations:
        if operation.step != write.step or operation.key != write.key:
            continue
        if operation.purpose == "readback":
            earlier = operation.id < write.id
            (before if earlier else after)[operation.node] = operation.outcome
        elif operation.id > write.id and operation.purpose in {"step", "follow"}:
            break
    return before, after
