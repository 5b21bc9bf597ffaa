"""From a register to its zones: when each value provably was current, or could have come and gone at one
instant.

After Gibbons and Korach, "Testing shared memories" (SIAM J. Comput. 26(4), 1997): with every value written
at most once, a value's cluster is its write with all its reads; `first` is the earliest return in it and
`last` the latest call. When first < last the value was current from `first` to `last` (a forward zone),
else the whole cluster fits one instant of [last, first] (a backward zone). A compare-and-set ties its
cluster behind the one it consumed, with nothing between: the clusters become one chain, with one zone.
"Absent" is the one value that may come more than once; `absent` handles it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kvsim.checks.consistency.linear.register import Register
from kvsim.checks.consistency.linear.ruling import BEFORE, Reason, Ruling, no, undecided
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MISSED, DELETE, GET, NEVER, PUT


class Zone(NamedTuple):
    """One chain's zone. `head` is its first value; `needs_absent` when that was written by a cas from
    "absent".
    """

    first: int
    last: int
    head: int
    needs_absent: bool


@dataclass(eq=False)
class Clusters:
    """A register sorted by what its operations do. Reads of each value are kept as (earliest return, latest
    call).
    """

    register: Register
    writer: dict[int, int] = field(default_factory=dict)
    read_first: dict[int, int] = field(default_factory=dict)
    read_last: dict[int, int] = field(default_factory=dict)
    absent_reads: list[int] = field(default_factory=list)
    deletes: list[int] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)
    cas: list[int] = field(default_factory=list)
    follower: dict[int, int] = field(default_factory=dict)  # value → the cas that consumed it
    kept: set[int] = field(default_factory=set)  # the cas that happened

    def known(self, value: int) -> bool:
        return value in self.writer or value == self.register.initial


@dataclass(eq=False)
class Layout:
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


def lay_out(register: Register) -> Layout | Ruling:
    """The zones of `register`, or a ruling when there can be none."""
    clusters = Clusters(register)
    for step in (_sort_operations, _check_reads, _keep_cas):
        ruling = step(clusters)
        if ruling is not None:
            return ruling
    return _zones(clusters)


def _sort_operations(clusters: Clusters) -> Ruling | None:
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
        elif kind in (PUT, CAS):
            if value == ABSENT:
                return undecided(Reason.WRITES_ABSENT, at=(at,))
            if value in writer or value == initial:
                return undecided(Reason.WRITTEN_TWICE, at=(at,))
            writer[value] = at
            if kind == CAS:
                clusters.cas.append(at)
        elif kind == DELETE:
            clusters.deletes.append(at)
        elif kind == CAS_MISSED:
            clusters.misses.append(at)
        elif kind == APPEND:
            return undecided(Reason.OTHER_KIND, at=(at,))
    return None


def _check_reads(clusters: Clusters) -> Ruling | None:
    """Every value that was read was written by somebody."""
    for value in clusters.read_first:
        if not clusters.known(value):
            refused = value in clusters.register.refused
            return no(Reason.REFUSED_WRITE if refused else Reason.NEVER_WRITTEN, values=(value,))
    return None


def _keep_cas(clusters: Clusters) -> Ruling | None:
    """Which compare-and-sets happened: those answered, those whose value was seen, and those these build on.

    One with an unknown outcome whose value nobody saw may be left out, which keeps every order legal.
    """
    register, writer = clusters.register, clusters.writer
    pending = [
        at for at in clusters.cas if register.until[at] != NEVER or register.value[at] in clusters.read_first
    ]
    clusters.kept.update(pending)
    while pending:
        at = pending.pop()
        consumed = register.expected[at]
        if consumed == ABSENT:
            continue
        if consumed in clusters.follower:
            return no(Reason.CONSUMED_TWICE, at=(clusters.follower[consumed], at))
        if not clusters.known(consumed):
            return no(Reason.CAS_FROM_NOWHERE, at=(at,), values=(consumed,))
        clusters.follower[consumed] = at
        before = writer.get(consumed)
        if before is not None and register.kind[before] == CAS and before not in clusters.kept:
            clusters.kept.add(before)
            pending.append(before)
    return None


def _zones(clusters: Clusters) -> Layout | Ruling:
    """One zone a chain. Raises nothing; a chain that contradicts itself is a ruling."""
    forward: list[Zone] = []
    backward: list[Zone] = []
    reached = 0
    for value, writer in _heads(clusters):
        zone, length = _chain_zone(clusters, value, writer)
        if isinstance(zone, Ruling):
            return zone
        reached += length
        (forward if zone.first < zone.last else backward).append(zone)
    if reached != len(clusters.kept):
        return no(Reason.CAS_CIRCLE, at=tuple(sorted(clusters.kept)))
    forward.sort()
    return Layout(clusters, forward, backward)


def _heads(clusters: Clusters) -> Iterator[tuple[int, int | None]]:
    """The first value of every chain that is needed, and its writer (None: the initial value)."""
    register, first, follower = clusters.register, clusters.read_first, clusters.follower
    if register.initial != ABSENT and (register.initial in first or register.initial in follower):
        yield register.initial, None
    until, kind, expected = register.until, register.kind, register.expected
    for value, at in clusters.writer.items():
        if kind[at] == PUT:
            # an unknown put that nobody saw may be taken as never applied
            if until[at] != NEVER or value in first or value in follower:
                yield value, at
        elif at in clusters.kept and expected[at] == ABSENT:
            yield value, at


def _chain_zone(clusters: Clusters, head: int, writer: int | None) -> tuple[Zone | Ruling, int]:
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
    while True:  # `last` is also the latest call of everything earlier in the chain
        reads = read_first.get(value)
        if reads is not None:
            if reads < last:
                return no(Reason.READ_TOO_EARLY, values=(value,)), length
            first = min(first, reads)
            last = max(last, read_last[value])
        cas = clusters.follower.get(value)
        if cas is None:
            return Zone(first, last, head, needs_absent), length
        length += 1
        if register.until[cas] < last:
            return no(Reason.CAS_TOO_EARLY, at=(cas,)), length
        first = min(first, register.until[cas])
        last = max(last, register.call[cas])
        value = register.value[cas]
