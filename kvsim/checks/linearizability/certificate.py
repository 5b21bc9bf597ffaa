"""The proof that a key is linearizable: an order of its operations, and a replay that checks it.

`linearize` builds the order from the same zones and the same sweep that decide; `replays` shares
no code with them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from kvsim.checks.linearizability.absences import Action, Gaps, Trace, explain_absences
from kvsim.checks.linearizability.build_zones import Clusters, ZoneSet, build_zones
from kvsim.checks.linearizability.decision import BEFORE, Decision
from kvsim.checks.linearizability.register import Register
from kvsim.checks.linearizability.zones import first_conflict
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MISSED, DELETE, GET, NEVER, SETS_STATE


def replays(
    register: Register, order: Sequence[int], join: Callable[[int, int], int] | None = None
) -> bool:
    """Whether `order` (positions) explains `register`.

    Each operation is legal on the state before it, the order respects time, and no operation is
    missing but those with an unknown outcome. `join` gives the number of a string with another one
    behind it; no order replays for a register with appends without it.
    """
    state, latest_call, done = register.initial, BEFORE, bytearray(len(register))
    for at in order:
        # It is there twice, or returned before something earlier in the order was called.
        if done[at] or register.until[at] < latest_call:
            return False
        done[at] = 1
        latest_call = max(latest_call, register.call[at])
        kind, value = register.kind[at], register.value[at]
        if kind == GET:
            legal = state == value
        elif kind == CAS_MISSED:
            legal = state != register.expected[at]
        elif kind == APPEND:
            legal = join is not None
            state = join(state, value) if join else state
        else:
            legal = kind in SETS_STATE or (kind == CAS and state == register.expected[at])
            state = ABSENT if kind == DELETE else value
        if not legal:
            return False
    return all(done[at] or until == NEVER for at, until in enumerate(register.until))


def linearize(register: Register) -> list[int] | Decision:
    """A linearization of `register` as positions, or the decision that there is none.

    Failed compare-and-sets are left out of it.
    """
    zone_set = build_zones(register)
    return zone_set if isinstance(zone_set, Decision) else linearize_zones(zone_set)


def linearize_zones(zone_set: ZoneSet) -> list[int] | Decision:
    """As `linearize`, for zones that are at hand. Decides as `zones.decide_zones` does."""
    decision = first_conflict(zone_set.forward, zone_set.backward)
    trace: Trace = []
    if decision is None:
        decision = explain_absences(zone_set, trace)
    return _OrderBuilder(zone_set, trace).order() if decision.linearizable else decision


class _OrderBuilder:
    """Places killers and readers, to which the sweep gave no instant, between the actions.

    Slot j is before action j: first its readers, then its killers.
    """

    def __init__(self, zone_set: ZoneSet, trace: Trace) -> None:
        self.zone_set = zone_set
        self.register = zone_set.clusters.register
        self.trace = trace
        self.times = [time for time, _, _ in trace]
        self.members = _members(zone_set.clusters)
        self.readers: list[list[int]] = [[] for _ in range(len(trace) + 1)]
        self.killers: list[list[int]] = [[] for _ in range(len(trace) + 1)]

    def order(self) -> list[int]:
        self._place_readers()
        self._place_killers()
        order: list[int] = []
        for slot, (readers, killers) in enumerate(zip(self.readers, self.killers, strict=True)):
            order += readers
            for zone in killers:
                order += self._chain(self.zone_set.backward[zone].head)
            if slot < len(self.trace):
                order += self._action(slot)
        return order

    def _absent_before(self, slot: int) -> bool:
        if slot == 0:
            return self.register.initial == ABSENT
        return self.trace[slot - 1][1] is Action.DELETE

    def _place_readers(self) -> None:
        """Each where the key is absent already, or else behind the next delete."""
        call = self.register.call
        for at in sorted(self.zone_set.clusters.absent_reads, key=call.__getitem__):
            slot = bisect_left(self.times, call[at])
            while not self._absent_before(slot):
                slot += 1
            self.readers[slot].append(at)

    def _place_killers(self) -> None:
        """Each where the key is present, else next to a delete or to what ends the absence."""
        placed = {item for _, action, item in self.trace if action in (Action.KILL, Action.CONSUME)}
        gaps, zones = Gaps(self.zone_set), self.zone_set.backward
        for number in sorted(range(len(zones)), key=lambda number: zones[number].last):
            if number in placed:
                continue
            start, _ = gaps.clip(zones[number].last, zones[number].first) or (zones[number].last, 0)
            slot = bisect_left(self.times, start)
            if (
                self._absent_before(slot)
                and slot < len(self.trace)
                and self.trace[slot][1] is not Action.DELETE
            ):
                slot += 1
            self.killers[slot].append(number)

    def _action(self, slot: int) -> list[int]:
        _, action, item = self.trace[slot]
        if action is Action.DELETE:
            return [item]
        zone = (self.zone_set.forward if action is Action.ZONE else self.zone_set.backward)[item]
        return self._chain(zone.head)

    def _chain(self, head: int) -> list[int]:
        """The chain that begins with `head`: write, its reads by call, next cas, its reads, …"""
        clusters = self.zone_set.clusters
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
