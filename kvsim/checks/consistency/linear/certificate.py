"""The proof of "yes": an order of the operations, and a replay that anybody can check it with.

`linearize` builds the order from the same zones and the same sweep that decide; `replays` shares nothing
with them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from kvsim.checks.consistency.linear.absent import Act, Gaps, Trace, explain_absent
from kvsim.checks.consistency.linear.chains import Clusters, Layout, lay_out
from kvsim.checks.consistency.linear.register import Register
from kvsim.checks.consistency.linear.ruling import BEFORE, Ruling
from kvsim.checks.consistency.linear.zones import first_conflict
from kvsim.history.operations import ABSENT, CAS, CAS_MISSED, DELETE, GET, NEVER, PUT


def replays(register: Register, order: Sequence[int]) -> bool:
    """Is `order` (positions) a legal order of `register`? Legal on the state, legal in time, nothing
    answered left out.
    """
    state, latest_call, done = register.initial, BEFORE, bytearray(len(register))
    for at in order:
        if done[at] or register.until[at] < latest_call:
            return False  # twice, or returned before something earlier in the order was called
        done[at] = 1
        latest_call = max(latest_call, register.call[at])
        kind, value = register.kind[at], register.value[at]
        if kind == GET:
            legal = state == value
        elif kind == CAS_MISSED:
            legal = state != register.expected[at]
        else:
            legal = kind in (PUT, DELETE) or (kind == CAS and state == register.expected[at])
            state = ABSENT if kind == DELETE else value
        if not legal:
            return False
    return all(done[at] or until == NEVER for at, until in enumerate(register.until))


def linearize(register: Register) -> list[int] | Ruling:
    """A linearization of `register` as positions, or the ruling why there is none. `cas_missed` are left
    out of it.
    """
    layout = lay_out(register)
    return layout if isinstance(layout, Ruling) else linearize_layout(layout)


def linearize_layout(layout: Layout) -> list[int] | Ruling:
    """As `linearize`, for zones that are at hand. Decides as `zones.decide_layout` does."""
    ruling = first_conflict(layout.forward, layout.backward)
    trace: Trace = []
    if ruling is None:
        ruling = explain_absent(layout, trace)
    return _Writer(layout, trace).order() if ruling.linearizable else ruling


class _Writer:
    """Puts killers and readers, which the sweep left without an instant, between the actions that have one.

    Before action number j stand first the readers and then the killers of slot j.
    """

    def __init__(self, layout: Layout, trace: Trace) -> None:
        self.layout = layout
        self.register = layout.clusters.register
        self.trace = trace
        self.times = [time for time, _, _ in trace]
        self.members = _members(layout.clusters)
        self.readers: list[list[int]] = [[] for _ in range(len(trace) + 1)]
        self.killers: list[list[int]] = [[] for _ in range(len(trace) + 1)]

    def order(self) -> list[int]:
        self._place_readers()
        self._place_killers()
        order: list[int] = []
        for slot, (readers, killers) in enumerate(zip(self.readers, self.killers, strict=True)):
            order += readers
            for zone in killers:
                order += self._chain(self.layout.backward[zone].head)
            if slot < len(self.trace):
                order += self._action(slot)
        return order

    def _absent_before(self, slot: int) -> bool:
        if slot == 0:
            return self.register.initial == ABSENT
        return self.trace[slot - 1][1] is Act.DELETE

    def _place_readers(self) -> None:
        """Where the key is absent already, or else behind the next delete."""
        call = self.register.call
        for at in sorted(self.layout.clusters.absent_reads, key=call.__getitem__):
            slot = bisect_left(self.times, call[at])
            while not self._absent_before(slot):
                slot += 1
            self.readers[slot].append(at)

    def _place_killers(self) -> None:
        """Where the key is not absent, or else just before a delete or just behind what ends the absence."""
        placed = {item for _, act, item in self.trace if act in (Act.KILL, Act.CONSUME)}
        gaps, zones = Gaps(self.layout), self.layout.backward
        for number in sorted(range(len(zones)), key=lambda number: zones[number].last):
            if number in placed:
                continue
            start, _ = gaps.clip(zones[number].last, zones[number].first) or (zones[number].last, 0)
            slot = bisect_left(self.times, start)
            if self._absent_before(slot) and slot < len(self.trace) and self.trace[slot][1] is not Act.DELETE:
                slot += 1
            self.killers[slot].append(number)

    def _action(self, slot: int) -> list[int]:
        _, act, item = self.trace[slot]
        if act is Act.DELETE:
            return [item]
        zone = (self.layout.forward if act is Act.ZONE else self.layout.backward)[item]
        return self._chain(zone.head)

    def _chain(self, head: int) -> list[int]:
        """Operations of the chain that begins with `head`: write, its reads by call, the next cas, its
        reads, …
        """
        clusters = self.layout.clusters
        writer = clusters.writer.get(head)
        chain = [] if writer is None else [writer]
        value = head
        while True:
            chain += self.members.get(value, [])
            cas = clusters.follower.get(value)
            if cas is None:
                return chain
            chain.append(cas)
            value = self.register.value[cas]


def _members(clusters: Clusters) -> dict[int, list[int]]:
    """The reads of each value, by call time."""
    register = clusters.register
    members: dict[int, list[int]] = {value: [] for value in clusters.read_first}
    for at, (kind, value) in enumerate(zip(register.kind, register.value, strict=True)):
        if kind == GET and value != ABSENT:
            members[value].append(at)
    for reads in members.values():
        reads.sort(key=register.call.__getitem__)
    return members
