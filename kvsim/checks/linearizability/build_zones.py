"""From a register to its zones: when each value provably was current, or for one instant only.

After Gibbons and Korach, "Testing shared memories" (SIAM J. Comput. 26(4), 1997): with every value
written at most once, a value's cluster is its write with all its reads; `first` is the earliest
return in it and `last` the latest call. When first < last the value was current from `first` to
`last` (a forward zone), else the whole cluster fits one instant of [last, first] (a backward zone).
A compare-and-set puts its cluster directly behind the one it consumed: the clusters become one
chain, with one zone. "Absent" is the one value that may come more than once; see `absences`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct, field

from kvsim.checks.linearizability.decision import (
    BEFORE,
    Decision,
    ViolationReason,
    not_linearizable,
    undecided,
)
from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    CAS,
    CAS_MISSED,
    DELETE,
    GET,
    NEVER,
    PUT,
    WRITES_WHOLE_VALUE,
)


class Zone(NamedTuple):
    """One chain's zone. `head` is its first value.

    With `needs_absent` a cas from "absent" wrote that value.
    """

    first: int
    last: int
    head: int
    needs_absent: bool


class Clusters(Struct, eq=False):
    """A register sorted by what its operations do; all columns hold positions or times.

    `writer` maps a value to its write, `read_first` and `read_last` a value to the earliest return
    and the latest call of its reads, `follower` a value to the cas that consumed it. `kept` are
    the cas that happened.
    """

    register: Register
    writer: dict[int, int] = field(default_factory=dict)
    read_first: dict[int, int] = field(default_factory=dict)
    read_last: dict[int, int] = field(default_factory=dict)
    absent_reads: list[int] = field(default_factory=list)
    deletes: list[int] = field(default_factory=list)
    failed_cas: list[int] = field(default_factory=list)
    cas: list[int] = field(default_factory=list)
    follower: dict[int, int] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)

    def known(self, value: int) -> bool:
        return value in self.writer or value == self.register.initial


class ZoneSet(Struct, eq=False):
    """The zones of a register: forward ones by time, backward ones in any order."""

    clusters: Clusters
    forward: list[Zone]
    backward: list[Zone]

    @property
    def has_absent(self) -> bool:
        """True when "absent" is more than the state before the first write."""
        clusters = self.clusters
        if clusters.deletes or clusters.absent_reads:
            return True
        return any(clusters.register.expected[at] == ABSENT for at in clusters.kept)


def build_zones(register: Register) -> ZoneSet | Decision:
    """The zones of `register`, or a decision when there can be none."""
    clusters = Clusters(register)
    for step in (_sort_operations, _check_reads, _keep_cas):
        decision = step(clusters)
        if decision is not None:
            return decision
    return _zones(clusters)


def _sort_operations(clusters: Clusters) -> Decision | None:
    """One pass: writers by value, reads by value, the rest by kind."""
    register = clusters.register
    writer, initial = clusters.writer, register.initial
    first, last = clusters.read_first, clusters.read_last
    columns = zip(register.call, register.until, register.kind, register.value, strict=True)
    for at, (call, until, kind, value) in enumerate(columns):
        if kind == GET:
            if value == ABSENT:
                clusters.absent_reads.append(at)
            elif value in first:
                if until < first[value]:
                    first[value] = until
                if call > last[value]:
                    last[value] = call
            else:
                first[value], last[value] = until, call
        elif kind in WRITES_WHOLE_VALUE:
            if value == ABSENT:
                return undecided(ViolationReason.WRITES_ABSENT, at=(at,))
            if value in writer or value == initial:
                return undecided(ViolationReason.WRITTEN_TWICE, at=(at,))
            writer[value] = at
            if kind == CAS:
                clusters.cas.append(at)
        elif kind == DELETE:
            clusters.deletes.append(at)
        elif kind == CAS_MISSED:
            clusters.failed_cas.append(at)
        elif kind == APPEND:
            return undecided(ViolationReason.OTHER_KIND, at=(at,))
    return None


def _check_reads(clusters: Clusters) -> Decision | None:
    """Every value that was read had a write."""
    for value in clusters.read_first:
        if not clusters.known(value):
            refused = value in clusters.register.refused
            return not_linearizable(
                ViolationReason.REFUSED_WRITE if refused else ViolationReason.NEVER_WRITTEN,
                values=(value,),
            )
    return None


def _keep_cas(clusters: Clusters) -> Decision | None:
    """The compare-and-sets that happened: answered, or with a value that was read or expected.

    One with an unknown outcome whose value was not read may be left out: every order stays legal.
    """
    register, writer = clusters.register, clusters.writer
    pending = [
        at
        for at in clusters.cas
        if register.until[at] != NEVER or register.value[at] in clusters.read_first
    ]
    clusters.kept.update(pending)
    while pending:
        at = pending.pop()
        consumed = register.expected[at]
        if consumed == ABSENT:
            continue
        if consumed in clusters.follower:
            return not_linearizable(
                ViolationReason.CONSUMED_TWICE, at=(clusters.follower[consumed], at)
            )
        if not clusters.known(consumed):
            return not_linearizable(ViolationReason.CAS_FROM_NOWHERE, at=(at,), values=(consumed,))
        clusters.follower[consumed] = at
        before = writer.get(consumed)
        if before is not None and register.kind[before] == CAS and before not in clusters.kept:
            clusters.kept.add(before)
            pending.append(before)
    return None


def _zones(clusters: Clusters) -> ZoneSet | Decision:
    """One zone a chain, or the decision that a chain contradicts itself."""
    forward: list[Zone] = []
    backward: list[Zone] = []
    reached = 0
    for value, writer in _heads(clusters):
        zone, length = _chain_zone(clusters, value, writer)
        if isinstance(zone, Decision):
            return zone
        reached += length
        (forward if zone.first < zone.last else backward).append(zone)
    if reached != len(clusters.kept):
        return not_linearizable(ViolationReason.CAS_CYCLE, at=tuple(sorted(clusters.kept)))
    forward.sort()
    return ZoneSet(clusters, forward, backward)


def _heads(clusters: Clusters) -> Iterator[tuple[int, int | None]]:
    """The first value of every chain that is needed, and its writer (None: the initial value)."""
    register, first, follower = clusters.register, clusters.read_first, clusters.follower
    if register.initial != ABSENT and (register.initial in first or register.initial in follower):
        yield register.initial, None
    until, kind, expected = register.until, register.kind, register.expected
    for value, at in clusters.writer.items():
        if kind[at] == PUT:
            # An unknown put whose value was not read may be taken as never applied.
            if until[at] != NEVER or value in first or value in follower:
                yield value, at
        elif at in clusters.kept and expected[at] == ABSENT:
            yield value, at


def _chain_zone(clusters: Clusters, head: int, writer: int | None) -> tuple[Zone | Decision, int]:
    """The zone of the chain that begins with `head`, and how many compare-and-sets are in it."""
    register, read_first, read_last = clusters.register, clusters.read_first, clusters.read_last
    needs_absent, length = False, 0
    if writer is None:
        first = last = BEFORE
    else:
        first, last = register.until[writer], register.call[writer]
        if register.kind[writer] == CAS:
            needs_absent, length = True, 1
    value = head
    # `last` is also the latest call of everything earlier in the chain.
    while True:
        reads = read_first.get(value)
        if reads is not None:
            if reads < last:
                return not_linearizable(ViolationReason.READ_TOO_EARLY, values=(value,)), length
            first = min(first, reads)
            last = max(last, read_last[value])
        cas = clusters.follower.get(value)
        if cas is None:
            return Zone(first, last, head, needs_absent), length
        length += 1
        if register.until[cas] < last:
            return not_linearizable(ViolationReason.CAS_TOO_EARLY, at=(cas,)), length
        first = min(first, register.until[cas])
        last = max(last, register.call[cas])
        value = register.value[cas]
