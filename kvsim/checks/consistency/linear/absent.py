"""Can "the key is not there", the one state that may come again and again, be explained? A greedy sweep,
exact.

Runs after the zones have proved disjoint. A forward zone then occupies its period and a backward one a
single instant, so only the gaps between forward zones are left, and in them four kinds of items, each with
a window of time:

* killers: backward zones. One instant each, which ends the absent state.
* consumers: backward zones whose chain begins with a cas from "absent". Killers that need the absent state
  just before.
* deletes: one instant each, which begins the absent state; one with an unknown outcome may be left out.
* readers: gets that found nothing. They need the absent state at some instant of their window.

A forward zone is a killer at a fixed time, or a consumer at a fixed time. The sweep goes over the ends of
the windows and does everything as late as possible, deletes and consumers with the earliest deadline first.
Why that is right: a delete used later serves every reader still waiting and clears a superset of the
killers; among open deletes or consumers, taking the earliest deadline leaves a superset for the future;
being absent with killers pending is never worse than not being absent with none, because the first pending
killer's deadline turns the one into the other. No publication of this case is known to us; it rests on that
sketch and on the exhaustive tests.

`trace`, when given, receives what was decided, (time, action, item) in order; `certificate` turns it into
an order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush

from kvsim.checks.consistency.linear.chains import Layout
from kvsim.checks.consistency.linear.ruling import YES, Reason, Ruling, no
from kvsim.history.operations import ABSENT, NEVER


class Act(IntEnum):
    """What the sweep decided: which item was given an instant of its own."""

    DELETE = 0
    CONSUME = 1
    KILL = 2
    ZONE = 3


# in the order in which they count at one instant: windows open, those that end must be served, forward zones begin
OPEN_DELETE, OPEN_CONSUMER, END_READER, END_KILLER, END_DELETE, END_CONSUMER, BEGIN_ZONE = range(7)

Event = tuple[int, int, int, int]  # time, what, item, the other end of the window
Trace = list[tuple[int, Act, int]]


class Gaps:
    """What is left of a window when the forward zones are taken away."""

    def __init__(self, layout: Layout) -> None:
        self.begins = [zone.first for zone in layout.forward]
        self.ends = [zone.last for zone in layout.forward]

    def clip(self, start: int, end: int) -> tuple[int, int] | None:
        """The window with an end that lies inside a zone moved to where that zone begins; None when nothing
        is left.

        A start inside a zone may stay: nothing is served inside a zone, where the key is not absent.
        """
        before = bisect_left(self.begins, start) - 1
        if before >= 0 and end < self.ends[before]:
            return None
        last = bisect_left(self.begins, end + 1) - 1
        if last >= 0 and end < self.ends[last]:
            end = self.begins[last]
        return start, end


def explain_absent(layout: Layout, trace: Trace | None = None) -> Ruling:
    """Whether every absence in `layout` can be explained; `at` of a violation are register positions."""
    events = _events(layout)
    if isinstance(events, Ruling):
        return events
    return _Sweep(layout, trace).run(events)


def _events(layout: Layout) -> list[Event] | Ruling:
    """All openings and deadlines in the order of time, or the violation that an empty window is."""
    register, gaps = layout.clusters.register, Gaps(layout)
    events: list[Event] = []
    for at in layout.clusters.absent_reads:
        window = gaps.clip(register.call[at], register.until[at])
        if window is None:
            return no(Reason.ABSENT_INSIDE, at=(at,))
        events.append((window[1], END_READER, at, window[0]))
    for at in layout.clusters.deletes:
        window = gaps.clip(register.call[at], register.until[at])
        if window is None:
            return no(Reason.DELETE_INSIDE, at=(at,))
        events.append((window[0], OPEN_DELETE, at, window[1]))
        if window[1] < NEVER:
            events.append((window[1], END_DELETE, at, window[0]))
    for number, zone in enumerate(layout.backward):
        start, end = gaps.clip(zone.last, zone.first) or (zone.last, zone.first)
        if zone.needs_absent:
            events.append((start, OPEN_CONSUMER, number, end))
        events.append((end, END_CONSUMER if zone.needs_absent else END_KILLER, number, start))
    events.extend((zone.first, BEGIN_ZONE, number, zone.last) for number, zone in enumerate(layout.forward))
    events.sort()
    return events


class _Sweep:
    """The state of the sweep: is the key absent now, what waits, and until when pending killers are served
    for nothing.
    """

    def __init__(self, layout: Layout, trace: Trace | None) -> None:
        self.layout = layout
        self.trace = trace
        self.absent = layout.clusters.register.initial == ABSENT
        self.last_absent = -NEVER * 2  # the latest instant at which the absent state ended
        self.last_clear = (
            -NEVER * 2
        )  # the latest delete: what was pending then could be served just before it
        self.deletes: list[tuple[int, int]] = []
        self.consumers: list[tuple[int, int]] = []
        self.used_deletes: set[int] = set()
        self.used_consumers: set[int] = set()

    def run(self, events: list[Event]) -> Ruling:
        serve: dict[int, Callable[[int, int, int], bool]] = {
            OPEN_DELETE: self.delete_opens,
            OPEN_CONSUMER: self.consumer_opens,
            END_READER: self.reader_ends,
            END_KILLER: self.killer_ends,
            END_DELETE: self.delete_ends,
            END_CONSUMER: self.consumer_ends,
            BEGIN_ZONE: self.zone_begins,
        }
        for time, what, item, other_end in events:
            if not serve[what](time, item, other_end):
                return self._violation(what, item)
        return YES

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
            self._record(time, Act.KILL, item)
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
        self._record(time, Act.CONSUME, item)
        self._present(time)
        return True

    def zone_begins(self, time: int, item: int, end: int) -> bool:
        if self.layout.forward[item].needs_absent:
            if not self.absent and not self._delete_now(time):
                return False
            self.last_absent = time
        elif self.absent:
            self._spend_absent(time)
            self.last_absent = time
        self._record(time, Act.ZONE, item)
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
        self._record(time, Act.DELETE, item)
        self.absent, self.last_clear = True, time

    def _spend_absent(self, time: int) -> None:
        """The absent state is about to end or to begin anew: a waiting consumer may have it for nothing."""
        while self.consumers:
            item = heappop(self.consumers)[1]
            if item not in self.used_consumers:
                self.used_consumers.add(item)
                self._record(time, Act.CONSUME, item)
                return

    def _present(self, time: int) -> None:
        self.absent, self.last_absent = False, time

    def _record(self, time: int, act: Act, item: int) -> None:
        if self.trace is not None:
            self.trace.append((time, act, item))

    def _violation(self, what: int, item: int) -> Ruling:
        if what == END_READER:
            return no(Reason.ABSENT_UNEXPLAINED, at=(item,))
        zones = self.layout.forward if what == BEGIN_ZONE else self.layout.backward
        return no(Reason.CAS_UNEXPLAINED, values=(zones[item].head,))
