"""Decide one key exactly in O(n log n): no two zones conflict, and every absence is explained.

Exact for put, get, delete and compare-and-set when no value but "absent" is written twice; anything
else is `undecided`. The conflicts are Gibbons and Korach's (see `build_zones`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from kvsim.checks.linearizability.absences import explain_absences
from kvsim.checks.linearizability.build_zones import ZoneSet, build_zones
from kvsim.checks.linearizability.decision import (
    LINEARIZABLE,
    Decision,
    ViolationReason,
    not_linearizable,
)
from kvsim.checks.linearizability.register import Register


def decide(register: Register) -> Decision:
    """Whether `register` is linearizable, without its failed compare-and-sets."""
    zone_set = build_zones(register)
    if isinstance(zone_set, Decision):
        return zone_set
    return decide_zones(zone_set)


def decide_zones(zone_set: ZoneSet) -> Decision:
    """Whether the zones of `zone_set` can be put in one order, absences included."""
    conflict = first_conflict(zone_set.forward, zone_set.backward)
    if conflict is not None:
        return conflict
    return explain_absences(zone_set) if zone_set.has_absent else LINEARIZABLE


def first_conflict(
    forward: Sequence[tuple[int, ...]], backward: Sequence[tuple[int, ...]]
) -> Decision | None:
    """Two forward zones that overlap, or a backward zone inside a forward one; None without any.

    Zones are (first, last, value, …); `forward` is sorted. Both cases are one formula: zones
    conflict when first₁ < last₂ and first₂ < last₁.
    """
    end, holder = None, -1
    for zone in forward:
        if end is not None and zone[0] < end:
            return not_linearizable(ViolationReason.OVERLAP, values=(holder, zone[2]))
        end, holder = zone[1], zone[2]
    begins = [zone[0] for zone in forward]
    for zone in backward:
        # The forward zones that begin before this one's latest call.
        at = bisect_left(begins, zone[1])
        if at and zone[0] < forward[at - 1][1]:
            return not_linearizable(ViolationReason.SWALLOWED, values=(forward[at - 1][2], zone[2]))
    return None
