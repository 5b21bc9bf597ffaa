"""The check of power cuts: what was acknowledged before one is there after it.

A program is judged only by what it guarantees: `survives: [kill, power]`, and of the last writes
before a cut what `power_loses_at_most` allows. A finding says where the write stood and which sync
was missing, by the evidence of the fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from kvsim.checks.run_record.data import ReadBack, cut_between, read_backs
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.run_record import FaultRecord, RequestRecord, RunRecord
from kvsim.text import one_line, plural

GUARANTEE = "`survives: [kill, power]`"
MISSING_SYNC = {
    "created": "its folder was not synced after the file was made",
    "renamed": "its folder was not synced after the file got this name",
    "linked": "its folder was not synced after the file got this name",
    "removed": "its folder was not synced after the file was removed",
    "resized": "the file was not synced after its size was changed",
}

# Of a long value, the first characters are searched.
WORD_MAX = 40
LOSSES_MAX = 3


class PowerCutRead(Struct, frozen=True):
    """A read after a power cut of its node, of a write that was acknowledged before it."""

    read: ReadBack
    cut: FaultRecord

    @property
    def cut_s(self) -> float:
        return self.cut.began_s or 0.0

    @property
    def age_s(self) -> float:
        """How long before the cut the write was acknowledged, in seconds."""
        return self.cut_s - self.read.acknowledged.write.completed_s


@run_check(
    "What was acknowledged is still there after a power cut, as far as the program guarantees it",
    subject=Subject.DURABILITY,
    order=121,
)
def acknowledged_writes_survive_power(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every get at a leader of a write that was acknowledged before the power of its node
    was cut, where its program guarantees `survives: [kill, power]`. Of the last writes before the
    cut, those within `power_loses_at_most` may be lost. Without the guarantee, what was lost is a
    warning.
    """
    reads = list(power_cut_reads(record))
    judged = [found for found in reads if _is_guaranteed(record, found)]
    violations = [
        Finding(_describe(record, found), found.read.read.step, found.read.read.node)
        for found in judged
        if not found.read.shows_the_write
    ]
    others = [found for found in reads if not _survives_power(record, found)]
    return len(judged), [*violations, *_measured(record, others)]


def _measured(record: RunRecord, reads: Sequence[PowerCutRead]) -> Iterator[Finding]:
    """What power cuts took of a program that guarantees nothing of them, as warnings."""
    reads = [found for found in reads if found.cut.took_effect]
    damaged = [found for found in reads if found.cut.gave_files_back]
    if damaged:
        name = damaged[0].read.read.node
        yield Finding(
            f"{name} did not start from what a power cut left, which its program does not "
            f"guarantee ({GUARANTEE}): {one_line(damaged[0].cut.recovery[0])}",
            verdict=Verdict.PASS,
        )
    # Several reads of one write are one write.
    whole = {id(found.read.acknowledged): found for found in reads if not found.cut.gave_files_back}
    lost = [found for found in whole.values() if not found.read.shows_the_write]
    count = plural(len(whole), "acknowledged write")
    if lost:
        yield Finding(
            f"{len(lost)} of {count} {'was' if len(lost) == 1 else 'were'} lost in a power cut, "
            f"and its program does not guarantee to keep them ({GUARANTEE}): "
            f"{_describe(record, lost[0])}",
            verdict=Verdict.PASS,
        )
    elif whole:
        yield Finding(
            f"of {count} none was lost in a power cut; if the program syncs before it "
            f"acknowledges, it may guarantee that ({GUARANTEE})",
            verdict=Verdict.PASS,
        )


def power_cut_reads(record: RunRecord) -> Iterator[PowerCutRead]:
    """The reads that `acknowledged_writes_survive_power` is about, guaranteed or not."""
    for read in read_backs(record):
        cut = cut_between(record, read)
        if cut is not None:
            yield PowerCutRead(read, cut)


def _survives_power(record: RunRecord, found: PowerCutRead) -> bool:
    return bool(record.nodes[found.read.acknowledged.holder[0]].get("survives_power"))


def _is_guaranteed(record: RunRecord, found: PowerCutRead) -> bool:
    plan = record.nodes[found.read.acknowledged.holder[0]]
    return _survives_power(record, found) and found.age_s >= plan.get("power_loses_s", 0.0)


def _describe(record: RunRecord, found: PowerCutRead) -> str:
    write = found.read.acknowledged.write
    said = f"{found.read.describe()}, after its power was cut"
    where = _where_it_stood(record, found.cut, write, found.read.read.node)
    return f"{said}; it was acknowledged at {write.completed_s:.3f} s; {where}"


def _where_it_stood(record: RunRecord, cut: FaultRecord, write: RequestRecord, node: str) -> str:
    """Which lost bytes held the write, and how far their file was synced: of `node` first."""
    all_lost = [
        (item["subject"], lost)
        for item in sorted(cut.evidence, key=lambda item: item["subject"] != node)
        for lost in reversed(item["measured"].get("lost", ()))
    ]
    for subject, lost in all_lost:
        if _holds(lost, write):
            return f"its record stood in {_describe_loss(subject, lost, cut, record)}"
    if not all_lost:
        return "nothing that was written was lost: it was never written, or not read again"
    last = dict.fromkeys(_describe_loss(subject, lost, cut, record) for subject, lost in all_lost)
    return f"what was lost last: {'; '.join([*last][:LOSSES_MAX])}"


def _holds(lost: Mapping[str, Any], write: RequestRecord) -> bool:
    word = (write.value or write.key or "")[:WORD_MAX]
    return bool(word) and any(word in text for text in lost["texts"])


def _describe_loss(node: str, lost: Mapping[str, Any], cut: FaultRecord, record: RunRecord) -> str:
    """A change that was lost: where it stood, and which sync was missing. The node is named where
    the cut had several.
    """
    name, begin, end = lost["file"], lost["at"], lost["at"] + lost["length"]
    if len(cut.nodes) > 1:
        name = f"{node}'s {name}"
    if lost["what"] in MISSING_SYNC:
        return f"{name}: {MISSING_SYNC[lost['what']]}"
    stood = f"{name} at {begin:,}..{end:,}"
    if lost["synced_ns"] is None:
        return f"{stood}, which was never synced"
    synced_s = (lost["synced_ns"] - _epoch_ns(record, cut)) / 1e9
    return f"{stood}, last synced at {synced_s:.3f} s up to {lost['synced_to']:,}"


def _epoch_ns(record: RunRecord, cut: FaultRecord) -> float:
    """The moment 0 of the run, on the monotonic clock of the record of writes."""
    plan = next(event for event in record.of_kind("fault_plan") if event["id"] == cut.id)
    return float(plan["settings"]["clock_ns"] - plan.at_s * 1e9)
