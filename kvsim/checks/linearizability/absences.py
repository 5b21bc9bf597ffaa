"""Can each absence be explained? "The key is not there" is the one state that may come repeatedly.

A greedy sweep, exact. It runs after the zones have proved disjoint. A forward zone then occupies
its period and a backward one a single instant, so only the gaps between forward zones are left,
and in them four kinds of items, each with a window of time:

* killers: backward zones. One instant each, which ends the absent state.
* consumers: backward zones whose chain begins with a cas from "absent". Killers that need the
  absent state directly before them.
* deletes: one instant each, which begins the absent state; one with an unknown outcome may be left
  out.
* readers: gets that found nothing. They need the absent state at some instant of their window.

A forward zone is a killer at a fixed time, or a consumer at a fixed time. The sweep goes over the
ends of the windows and does everything as late as possible, deletes and consumers with the earliest
deadline first. Why that is right: a delete used later serves every reader still waiting and clears
a superset of the killers; among open deletes or consumers, taking the earliest deadline leaves a
superset for the future; being absent with killers pending is never worse than not being absent with
none, because the first pending killer's deadline turns the one into the other. No publication of
this case is known to us; it rests on that sketch and on the exhaustive tests.

`trace`, when given, receives the decisions, (time, action, item) in order; `certificate` turns it
into an order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush

from kvsim.checks.linearizability.build_zones import ZoneSet
from kvsim.checks.linearizability.decision import (
    LINEARIZABLE,
    Decision,
    ViolationReason,
    not_linearizable,
)
from kvsim.history.operations import ABSENT, NEVER


class Action(IntEnum):
    """What the sweep decided: the kind of item that gets an instant."""

    DELETE = 0
    CONSUME = 1
    KILL = 2
    ZONE = 3


# In the order in which they count at one instant: windows open, windows end, forward zones begin.
OPEN_DELETE, OPEN_CONSUMER, END_READER, END_KILLER, END_DELETE, END_CONSUMER, BEGIN_ZONE = range(7)

# Time, kind of event, item, the other end of the window.
Event = tuple[int, int, int, int]
Trace = list[tuple[int, Action, int]]


class Gaps:
    """What is left of a window when the forward zones are taken away."""

    def __init__(self, zone_set: ZoneSet) -> None:
        self.begins = [zone.first for zone in zone_set.forward]
        self.ends = [zone.last for zone in zone_set.forward]

    def clip(self, start: int, end: int) -> tuple[int, int] | None:
        """The window, an end inside a zone moved to its beginning; None if nothing is left.

        A start inside a zone may stay: inside a zone the key is not absent, so nothing is served.
        """
        before = bisect_left(self.begins, start) - 1
        if before >= 0 and end < self.ends[before]:
            return None
        last = bisect_left(self.begins, end + 1) - 1
        if last >= 0 and end < self.ends[last]:
            end = self.begins[last]
        return start, end


def explain_absences(zone_set: ZoneSet, trace: Trace | None = None) -> Decision:
    """Whether every absence in `zone_set` can be explained."""
    events = _events(zone_set)
    if isinstance(events, Decision):
        return events
    return _Sweep(zone_set, trace).run(events)


def _events(zone_set: ZoneSet) -> list[Event] | Decision:
    """All openings and deadlines in the order of time; a violation when a window is empty."""
    register, gaps = zone_set.clusters.register, Gaps(zone_set)
    events: list[Event] = []
    for at in zone_set.clusters.absent_reads:
        window = gaps.clip(register.call[at], register.until[at])
        if window is None:
            return not_linearizable(ViolationReason.ABSENT_INSIDE, at=(at,))
        events.append((window[1], END_READER, at, window[0]))
    for at in zone_set.clusters.deletes:
        window = gaps.clip(register.call[at], register.until[at])
        if window is None:
            return not_linearizable(ViolationReason.DELETE_INSIDE, at=(at,))
        events.append((window[0], OPEN_DELETE, at, window[1]))
        if window[1] < NEVER:
            events.append((window[1], END_DELETE, at, window[0]))
    for number, zone in enumerate(zone_set.backward):
        start, end = gaps.clip(zone.last, zone.first) or (zone.last, zone.first)
        if zone.needs_absent:
            events.append((start, OPEN_CONSUMER, number, end))
        events.append((end, END_CONSUMER if zone.needs_absent else END_KILLER, number, start))
    events.extend(
        (zone.first, BEGIN_ZONE, number, zone.last) for number, zone in enumerate(zone_set.forward)
    )
    events.sort()
    return events


class _Sweep:
    """The state of the sweep: whether the key is absent now, and which items wait.

    `last_absent` is the latest instant at which the absent state ended. `last_clear` is the latest
    delete: killers that were pending then could be served directly before it.
    """

    def __init__(self, zone_set: ZoneSet, trace: Trace | None) -> None:
        self.zone_set = zone_set
        self.trace = trace
        self.absent = zone_set.clusters.register.initial == ABSENT
        self.last_absent = -NEVER * 2
        self.last_clear = -NEVER * 2
        self.deletes: list[tuple[int, int]] = []
        self.consumers: list[tuple[int, int]] = []
        self.used_deletes: set[int] = set()
        self.used_consumers: set[int] = set()

    def run(self, events: list[Event]) -> Decision:
        serve: dict[int, Callable[[int, int, int], bool]] = {
            OPEN_DELETE: self.delete_opens,
            OPEN_CONSUMER: self.consumer_opens,
            END_READER: self.reader_ends,
            END_KILLER: self.killer_ends,
            END_DELETE: self.delete_ends,
            END_CONSUMER: self.consumer_ends,
            BEGIN_ZONE: self.zone_begins,
        }
        for time, event, item, other_end in events:
            if not serve[event](time, item, other_end):
                return self._violation(event, item)
        return LINEARIZABLE

    def delete_opens(self, time: int, item: int, end: int) -> bool:
        heappush(self.deletes, (end, item))
        return True

    def consumer_opens(self, time: int, item: int, end: int) -> bool:
        heappush(self.consumers, (end, item))
        return True

    def reader_ends(self, time: int, item: int, start: int) -> bool:
        if self.absent or self.last_absent >= start:
            return True
        return self._delete_now(time)

    def killer_ends(self, time: int, item: int, start: int) -> bool:
        if self.absent and start > self.last_clear:
            self._spend_absent(time)
            self._record(time, Action.KILL, item)
            self._present(time)
        return True

    def delete_ends(self, time: int, item: int, start: int) -> bool:
        if item not in self.used_deletes:
            if self.absent:
                self._spend_absent(time)
            self._place_delete(time, item)
        return True

    def consumer_ends(self, time: int, item: int, start: int) -> bool:
        if item in self.used_consumers:
            return True
        if not self.absent and not self._delete_now(time):
            return False
        self.used_consumers.add(item)
        self._record(time, Action.CONSUME, item)
        self._present(time)
        return True

    def zone_begins(self, time: int, item: int, end: int) -> bool:
        if self.zone_set.forward[item].needs_absent:
            if not self.absent and not self._delete_now(time):
                return False
            self.last_absent = time
        elif self.absent:
            self._spend_absent(time)
            self.last_absent = time
        self._record(time, Action.ZONE, item)
        self.absent = False
        return True

    def _delete_now(self, time: int) -> bool:
        """Let the open delete with the earliest deadline happen; False when none is open."""
        while self.deletes:
            item = heappop(self.deletes)[1]
            if item not in self.used_deletes:
                self._place_delete(time, item)
                return True
        return False

    def _place_delete(self, time: int, item: int) -> None:
        self.used_deletes.add(item)
        self._record(time, Action.DELETE, item)
        self.absent, self.last_clear = True, time

    def _spend_absent(self, time: int) -> None:
        """The absent state is about to end or to begin again: serve a waiting consumer with it."""
        while self.consumers:
            item = heappop(self.consumers)[1]
            if item not in self.used_consumers:
                self.used_consumers.add(item)
                self._record(time, Action.CONSUME, item)
                return

    def _present(self, time: int) -> None:
        self.absent, self.last_absent = False, time

    def _record(self, time: int, action: Action, item: int) -> None:
        if self.trace is not None:
            self.trace.append((time, action, item))

    def _violation(self, event: int, item: int) -> Decision:
        if event == END_READER:
            return not_linearizable(ViolationReason.ABSENT_UNEXPLAINED, at=(item,))
        zones = self.zone_set.forward if event == BEGIN_ZONE else self.zone_set.backward
        return not_linearizable(ViolationReason.CAS_UNEXPLAINED, values=(zones[item].head,))
