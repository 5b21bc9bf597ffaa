"""Checks of keys and values: of refused and acknowledged writes, of reads, of replicas."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from msgspec import Struct

from kvsim.checks.expectations import describe
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding, Verdict
from kvsim.checks.write_effect import LEFT_A_TRACE, WriteEffect, effect_of, read_back
from kvsim.history.journal import Event
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.history.run_record import FaultRecord, RequestRecord, RunRecord
from kvsim.text import truncate

# Of a value in a finding.
VALUE_MAX = 100


@run_check(
    "A refused write, or a compare-and-set that found another value, leaves no trace: no node "
    "shows its value afterwards",
    subject=Subject.VALUES,
    order=80,
)
def refused_writes_leave_no_trace(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every write that a node refused or answered with a mismatch, by reading the key on
    every node before and after it.
    """
    refused = [
        write for write in record.writes if _is_refused(write) and any(read_back(record, write))
    ]
    return len(refused), [finding for write in refused if (finding := _trace(record, write))]


def _is_refused(write: RequestRecord) -> bool:
    outcome = write.outcome
    if write.missed or outcome.reason is Reason.UNRECOGNISED:
        return True
    return outcome.kind is OutcomeKind.REFUSED and outcome.reason is not Reason.UNREACHABLE


def _trace(record: RunRecord, write: RequestRecord) -> Finding | None:
    effect = effect_of(record, write)
    if effect not in LEFT_A_TRACE | {WriteEffect.UNCLEAR}:
        return None
    return Finding(
        f"`{write.verb} {write.key}` on {write.node}: {effect}",
        write.step,
        write.node,
        Verdict.UNKNOWN if effect is WriteEffect.UNCLEAR else Verdict.FAIL,
    )


@run_check(
    "Every node that is up serves reads: a value or not found, never a refusal",
    subject=Subject.VALUES,
    order=100,
)
def reads_are_served(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every get, read-backs too, that reached a node. A program with the capability
    `leader_reads_only` is left out.
    """
    reads = [
        request
        for request in record.operations
        if request.verb == "get"
        and request.outcome.reason is not Reason.UNREACHABLE
        and "leader_reads_only" not in record.capabilities(request.node)
    ]
    return len(reads), [
        Finding(
            f"{read.node} did not serve `get {read.key}`: {describe(read.outcome)}",
            read.step,
            read.node,
        )
        for read in reads
        if read.outcome.kind is OutcomeKind.REFUSED and not _may_refuse(record, read)
    ]


def _may_refuse(record: RunRecord, read: RequestRecord) -> bool:
    """A store that replicates may answer "not ready", to not show a value that may be lost."""
    not_ready = read.outcome.reason is Reason.NOT_READY
    return not_ready and "replicates" in record.capabilities(read.node)


@run_check(
    "The leader shows what it acknowledged: a put's value, and nothing after a delete",
    subject=Subject.VALUES,
    order=110,
)
def acknowledged_writes_are_read(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every get at the leader after a write that it acknowledged in the same incarnation;
    `acknowledged_writes_survive` judges the others.
    """
    reads = [read for read in read_backs(record) if not read.restarted_between]
    return len(reads), _lost(reads)


@run_check(
    "What the leader acknowledged is still there after it was stopped or killed and started again",
    subject=Subject.DURABILITY,
    order=120,
)
def acknowledged_writes_survive(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every get at a leader of a write that an earlier incarnation, or an earlier leader,
    acknowledged, without a power cut between, of which `acknowledged_writes_survive_power` judges.
    A node whose program says `keeps: nothing` may be empty after its own restart.
    """
    reads = [
        read
        for read in read_backs(record)
        if read.restarted_between and cut_between(record, read) is None
    ]
    return len(reads), _lost([read for read in reads if not _may_be_gone(record, read)])


def _may_be_gone(record: RunRecord, read: ReadBack) -> bool:
    """Whether the node began empty, and shows nothing of the write."""
    node = read.read.node
    keeps = record.nodes[node].get("keeps", "data")
    own_restart = read.acknowledged.holder[0] == node
    return keeps == "nothing" and own_restart and read.read.outcome.value is None


class Acknowledged(Struct, frozen=True):
    """An acknowledged write, and the node and incarnation that must have it: the leader's.

    `term`: the one that the node had reported; empty where it reports none.
    """

    write: RequestRecord
    holder: tuple[str, int]
    term: str = ""

    @property
    def forwarded(self) -> bool:
        return self.holder[0] != self.write.node


class ReadBack(Struct, frozen=True):
    """An answered get at a leader, the write that it must show, and all values it may show."""

    read: RequestRecord
    acknowledged: Acknowledged
    allowed: frozenset[str | None]
    term: str = ""

    @property
    def restarted_between(self) -> bool:
        """Whether another incarnation shows it, or another leader: of another node or term."""
        here = (self.read.node, self.read.incarnation)
        return here != self.acknowledged.holder or self.term != self.acknowledged.term

    @property
    def shows_the_write(self) -> bool:
        return self.read.outcome.value in self.allowed

    def describe(self) -> str:
        write, read = self.acknowledged.write, self.read
        value = f" {truncate(write.value, VALUE_MAX)}" if write.value else ""
        request = f"`{write.verb} {write.key}{value}`"
        shown = truncate(describe(read.outcome), VALUE_MAX)
        return f"{write.node} acknowledged {request}, and later {read.node} showed {shown}"


def _lost(reads: list[ReadBack]) -> list[Finding]:
    return [
        Finding(read.describe(), read.read.step, read.read.node)
        for read in reads
        if not read.shows_the_write
    ]


def read_backs(record: RunRecord) -> Iterator[ReadBack]:
    """Every answered get at a leader that follows an acknowledged write of its key, in order.

    A write whose outcome is unknown may have happened: its value is allowed, too. A write that a
    follower acknowledged counts where its program forwards writes, and only after its step: before,
    the leader may not have it yet. The scenario is a sequence, so no two requests overlap.
    """
    last: dict[str, Acknowledged] = {}
    allowed: dict[str, set[str | None]] = {}
    incarnations: dict[str, int] = {}
    for request in record.operations:
        incarnations[request.node] = request.incarnation
        key = request.key
        if key is None:
            continue
        if request.is_write:
            holder = _holder(record, request, incarnations)
            # A compare-and-set that found another value changed nothing.
            if holder is None or request.missed:
                continue
            if request.outcome.kind is OutcomeKind.OK:
                term = record.term_at(holder[0], request.invoked_s)
                last[key] = Acknowledged(request, holder, term)
                allowed[key] = {request.value}
            elif request.outcome.kind is OutcomeKind.UNKNOWN and key in last:
                allowed[key].add(request.value)
        elif key in last and _reads_back(record, request, last[key]):
            term = record.term_at(request.node, request.invoked_s)
            yield ReadBack(request, last[key], frozenset(allowed[key]), term)


def _holder(
    record: RunRecord, write: RequestRecord, incarnations: dict[str, int]
) -> tuple[str, int] | None:
    """The node and incarnation that must have the write if it is acknowledged.

    None for a write at a follower that does not forward it. Where nodes elect, one that has
    acknowledged a write may have become the leader since it was asked for its role.
    """
    capabilities = record.capabilities(write.node)
    if record.role_at(write.node, write.invoked_s) == "leader":
        return write.node, write.incarnation
    if "forwards" not in capabilities:
        return (write.node, write.incarnation) if "elects" in capabilities else None
    leader = record.leader_at(write.invoked_s)
    return (leader, incarnations.get(leader, 1)) if leader else None


def _reads_back(record: RunRecord, request: RequestRecord, acknowledged: Acknowledged) -> bool:
    """Whether the request is an answered get at a leader that must show the acknowledged write.

    Where nodes elect, a leader may have stepped down since it was asked: it has to say before and
    after the get that it leads the same term.
    """
    if request.verb != "get" or request.outcome.kind is not OutcomeKind.OK:
        return False
    if acknowledged.forwarded and request.step == acknowledged.write.step:
        return False
    if "elects" in record.capabilities(request.node):
        return record.led_throughout(request.node, request.invoked_s, request.completed_s)
    return record.role_at(request.node, request.invoked_s) == "leader"


def cut_between(record: RunRecord, read: ReadBack) -> FaultRecord | None:
    """The last power cut of the node that held the write, between the write and the read."""
    node, _ = read.acknowledged.holder
    begun = read.acknowledged.write.completed_s
    cuts = [
        fault
        for fault in record.faults
        if fault.traits.cuts_power
        and fault.began_s is not None
        and begun <= (fault.ended_s or fault.began_s)
        and fault.began_s <= read.read.invoked_s
        and {node, read.read.node} & set(fault.nodes)
    ]
    return cuts[-1] if cuts else None


# Applied index and term.
LogPosition = tuple[int, str]
# A follower that is about to discard the tail of its log may show an intermediate state once.
OBSERVATIONS_MIN = 2


@run_check(
    "Nodes that are at the same index of the same term hold the same state, by their digests",
    subject=Subject.REPLICATION,
    order=130,
)
def replicas_agree(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges programs that replicate and report index and digest: every log position at which
    several nodes were observed. A node counts there once it has reported the same digest twice.
    """
    observed: dict[LogPosition, Counter[tuple[str, str]]] = defaultdict(Counter)
    step_of: dict[LogPosition, str] = {}
    for event in record.of_kind("role"):
        fields = event["fields"]
        index, digest = fields.get("applied") or fields.get("index") or "", fields.get("digest")
        if "replicates" in record.capabilities(event["node"]) and index.isdecimal() and digest:
            position = (int(index), fields.get("term", ""))
            observed[position][event["node"], digest] += 1
            step_of[position] = event["step"]
    judged, findings = 0, []
    for position, counts in sorted(observed.items()):
        stable = [pair for pair, count in counts.items() if count >= OBSERVATIONS_MIN]
        judged += len({node for node, _ in stable}) > 1
        if len({digest for _, digest in stable}) > 1:
            findings.append(Finding(_disagreement(position, stable), step_of[position]))
    return judged, findings


def _disagreement(position: LogPosition, digests: list[tuple[str, str]]) -> str:
    index, term = position
    at = f"index {index} of term {term}" if term else f"index {index}"
    states = ", ".join(f"{node} {digest}" for node, digest in sorted(digests))
    return f"at {at} the states differ: {states}"


@run_check("A node's digest changes when a value does", subject=Subject.VALUES, order=140)
def digests_reflect_values(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every accepted write that changed what its node shows, when there was no other write
    between two status reports of that node.
    """
    judged, findings = 0, []
    for write in record.writes:
        if write.outcome.kind is not OutcomeKind.OK or not _changed_value(record, write):
            continue
        reports = _reports_around(record, write)
        if reports is None or _other_write_between(record, write, *reports):
            continue
        before, after = (event["fields"].get("digest") for event in reports)
        if before and after:
            judged += 1
            if before == after:
                text = (
                    f"`{write.verb} {write.key}` changed what {write.node} shows, "
                    f"and its digest is {after} as before"
                )
                findings.append(Finding(text, write.step, write.node))
    return judged, findings


def _changed_value(record: RunRecord, write: RequestRecord) -> bool:
    before, after = (outcomes.get(write.node) for outcomes in read_back(record, write))
    return (
        before is not None
        and after is not None
        and before.kind is OutcomeKind.OK
        and after.kind is OutcomeKind.OK
        and before.value != after.value
    )


def _reports_around(record: RunRecord, write: RequestRecord) -> tuple[Event, Event] | None:
    """The node's last status report before the write, and its first one after it."""
    reports = [event for event in record.of_kind("role") if event["node"] == write.node]
    before = [event for event in reports if event.at_s <= write.invoked_s]
    after = [event for event in reports if event.at_s >= write.completed_s]
    return (before[-1], after[0]) if before and after else None


def _other_write_between(
    record: RunRecord, write: RequestRecord, before: Event, after: Event
) -> bool:
    return any(
        other.completed_s >= before.at_s and other.invoked_s <= after.at_s
        for other in record.writes
        if other is not write
    )
