"""Decide one key exactly in O(n log n): zones must not contradict each other, and every absence must be
explained.

Exact for put, get, delete and compare-and-set when no value but "absent" is written twice; anything else is
`undecided`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from kvsim.checks.consistency.linear.absent import explain_absent
from kvsim.checks.consistency.linear.chains import Layout, lay_out
from kvsim.checks.consistency.linear.register import Register
from kvsim.checks.consistency.linear.ruling import YES, Reason, Ruling, no


def decide(register: Register) -> Ruling:
    """Whether `register` is linearizable. Failed compare-and-sets that do not say what they met are left to
    others.
    """
    layout = lay_out(register)
    if isinstance(layout, Ruling):
        return layout
    return decide_layout(layout)


def decide_layout(layout: Layout) -> Ruling:
    """Whether the zones of `layout` can be put in one order, absences included."""
    conflict = first_conflict(layout.forward, layout.backward)
    if conflict is not None:
        return conflict
    return explain_absent(layout) if layout.has_absent else YES


def first_conflict(forward: Sequence[tuple[int, ...]], backward: Sequence[tuple[int, ...]]) -> Ruling | None:
    """Two forward zones that overlap, or a backward zone inside a forward one. Zones are (first, last,
    value, …).

    `forward` is sorted. Both cases are one formula: zones conflict when first₁ < last₂ and first₂ < last₁.
    """
    end, holder = None, -1
    for zone in forward:
        if end is not None and zone[0] < end:
            return no(Reason.OVERLAP, values=(holder, zone[2]))
        end, holder = zone[1], zone[2]
    begins = [zone[0] for zone in forward]
    for zone in backward:
        at = bisect_left(begins, zone[1])  # the forward zones that begin before this one's latest call
        if at and zone[0] < forward[at - 1][1]:
            return no(Reason.SWALLOWED, values=(forward[at - 1][2], zone[2]))
    return None
