"""The effect of a write: what it did to each node, by reading its key back before and after it.

It needs a value that no other write has (scenarios draw values from the seed). When a node had the
value before, nothing shows whether the write was stored, and the effect is `UNCLEAR`. A write that
was accepted has the cluster's lag to arrive. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Literal

from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord, RunRecord


class WriteEffect(StrEnum):
    """The effect of a write, as proofs print it after the write."""

    # Refused, and no node shows it.
    REFUSED = "refused"
    # Refused, naming the leader, and no node shows it.
    REDIRECTED = "redirected"
    STORED_ANYWAY = "refused, but stored"
    MISMATCHED = "answered that the expected value is not there, and no node shows the new one"
    MISMATCHED_BUT_STORED = "answered that the expected value is not there, but stored the new one"
    FORWARDED = "accepted and forwarded: the leader has it"
    DIVERGED = "accepted, and the replicas diverged: the leader does not have it"
    NO_EFFECT = "accepted, but no node shows it"
    # No leader is known.
    EVERYWHERE = "accepted, and every node shows it; which node leads is not known"
    PARTIAL = "accepted, and some nodes show it, others not; which node leads is not known"
    # It was read before the cluster's lag was over.
    PENDING = "accepted, and had not arrived when it was read, before the cluster's lag was over"
    UNANSWERED = "unanswered"
    CONNECTION_LOST = "connection lost"
    FAILED_BUT_STORED = "failed, but stored"
    FAILED = "failed otherwise"
    UNCLEAR = "effect unclear: the key could not be read back, or showed this already"


LEFT_A_TRACE = {
    WriteEffect.STORED_ANYWAY,
    WriteEffect.MISMATCHED_BUT_STORED,
    WriteEffect.FAILED_BUT_STORED,
}

# The outcome of a get on one node; None when it was not read.
Reading = Outcome | None


def classify_effect(
    write: RequestRecord,
    before: Mapping[str, Reading],
    after: Mapping[str, Reading],
    leader: str | None,
    *,
    granted: bool = True,
) -> WriteEffect:
    """The effect of one write. `before` and `after` map nodes to their readings of its key.

    `leader` is the node that was the leader, None when no single one is known. `granted`: the
    readings after it were made when the cluster's lag was over.
    """
    shown = [node for node, reading in after.items() if shows(write, before.get(node), reading)]
    readable = any(_value(reading) is not UNREAD for reading in after.values())
    outcome = write.outcome
    if write.missed:
        return _mismatched(shown, readable)
    if outcome.kind is OutcomeKind.OK:
        having = {node for node, reading in after.items() if _value(reading) == write.value}
        effect = (
            _by_all_nodes(after, shown, having)
            if leader is None
            else _by_the_leader(after, shown, having, leader)
        )
        return WriteEffect.PENDING if effect in MAY_STILL_ARRIVE and not granted else effect
    if outcome.kind is OutcomeKind.REFUSED:
        return _refused(outcome, shown, readable)
    return _unknown(outcome, shown)


# Effects that a later reading may show otherwise.
MAY_STILL_ARRIVE = {WriteEffect.DIVERGED, WriteEffect.NO_EFFECT, WriteEffect.PARTIAL}


def _by_the_leader(
    after: Mapping[str, Reading], shown: list[str], having: set[str], leader: str
) -> WriteEffect:
    """The effect of an accepted write, by what the leader shows."""
    if leader in shown:
        return WriteEffect.FORWARDED
    if _value(after.get(leader)) is UNREAD:
        return WriteEffect.UNCLEAR
    if shown:
        return WriteEffect.DIVERGED
    return WriteEffect.UNCLEAR if leader in having else WriteEffect.NO_EFFECT


def _by_all_nodes(after: Mapping[str, Reading], shown: list[str], having: set[str]) -> WriteEffect:
    """The effect of an accepted write where no leader is known, by what every node shows."""
    unread = {node for node, reading in after.items() if _value(reading) is UNREAD}
    if shown:
        return WriteEffect.EVERYWHERE if having == after.keys() else WriteEffect.PARTIAL
    return WriteEffect.UNCLEAR if unread or having or not after else WriteEffect.NO_EFFECT


def _mismatched(shown: list[str], readable: bool) -> WriteEffect:
    if shown:
        return WriteEffect.MISMATCHED_BUT_STORED
    return WriteEffect.MISMATCHED if readable else WriteEffect.UNCLEAR


def _refused(outcome: Outcome, shown: list[str], readable: bool) -> WriteEffect:
    if shown:
        return WriteEffect.STORED_ANYWAY
    if not readable:
        return WriteEffect.UNCLEAR
    return WriteEffect.REDIRECTED if outcome.leader else WriteEffect.REFUSED


def _unknown(outcome: Outcome, shown: list[str]) -> WriteEffect:
    if outcome.reason is Reason.UNRECOGNISED:
        return WriteEffect.FAILED_BUT_STORED if shown else WriteEffect.FAILED
    if outcome.reason in {Reason.RESET, Reason.CLOSED}:
        return WriteEffect.CONNECTION_LOST
    return WriteEffect.UNANSWERED


def shows(write: RequestRecord, before: Reading, after: Reading) -> bool:
    """Whether a node shows the write's effect now and did not before."""
    value_before, value_after = _value(before), _value(after)
    if value_after is UNREAD or value_before == value_after:
        return False
    if write.value is not None:
        return value_after == write.value
    return value_after is None and value_before is not UNREAD


class _Unread(Enum):
    UNREAD = "unread"


UNREAD = _Unread.UNREAD


def _value(reading: Reading) -> str | Literal[_Unread.UNREAD] | None:
    """The value that was read, None when the key was absent, UNREAD when no value was read."""
    if reading is None or reading.kind is not OutcomeKind.OK:
        return UNREAD
    return reading.value


def effect_of(record: RunRecord, write: RequestRecord) -> WriteEffect:
    """A write's effect, by the read-backs recorded before and after it.

    Where no leader was known before it, the leader that was known after it counts.
    """
    before, after = readings_around(record, write)
    leader = record.leader_at(write.invoked_s)
    if leader is None and after:
        leader = record.leader_at(max(reading.completed_s for reading in after.values()))
    judging = [after[leader]] if leader in after else list(after.values())
    granted = not write.outcome.done or all(
        reading.invoked_s >= write.completed_s + record.lag_within_s for reading in judging
    )
    return classify_effect(write, _outcomes(before), _outcomes(after), leader, granted=granted)


def read_back(
    record: RunRecord, write: RequestRecord
) -> tuple[dict[str, Reading], dict[str, Reading]]:
    """Node → what it showed for the key before the write, and the same after it."""
    before, after = readings_around(record, write)
    return _outcomes(before), _outcomes(after)


def _outcomes(readings: Mapping[str, RequestRecord]) -> dict[str, Reading]:
    return {node: reading.outcome for node, reading in readings.items()}


def readings_around(
    record: RunRecord, write: RequestRecord
) -> tuple[dict[str, RequestRecord], dict[str, RequestRecord]]:
    """Node → its reading of the key before the write, and the same after it.

    Of several readings of a node, the last one before the write and the last one after it count.
    """
    before: dict[str, RequestRecord] = {}
    after: dict[str, RequestRecord] = {}
    for request in record.operations:
        if request.step != write.step or request.key != write.key:
            continue
        if request.purpose == "readback":
            readings = before if request.id < write.id else after
            readings[request.node] = request
        elif request.id > write.id and request.purpose in {"step", "follow"}:
            break
    return before, after
