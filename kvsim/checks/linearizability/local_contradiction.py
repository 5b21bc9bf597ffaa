"""A contradiction inside a short stretch of time: a quick "no", without an order of all the rest.

Where values are written again and again, a search has to try very many orders of a long history
before it can say "no". Most contradictions, such as a stale read, show in a few operations that are
called one after the other. Of a stretch of the history, all operations count as they are. Of what
was called before it, the reads are left out, and each write may happen at any time before it
returned, or never. What was called behind it is left out, and what had not returned by then is
unknown. All of this only makes more orders possible, so a "no" is certain. Not for appends.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from kvsim.checks.linearizability.budget import Meter
from kvsim.checks.linearizability.decision import BEFORE
from kvsim.checks.linearizability.register import Register
from kvsim.checks.linearizability.search import search
from kvsim.history.operations import APPEND, CAS, CAS_MISSED, GET, NEVER, ONLY_OBSERVES

# Operations of a stretch; stretches overlap by half.
STRETCHES = (32, 128)
CONFIGURATIONS = 2_000


def find_local_contradiction(register: Register, meter: Meter) -> int | None:
    """The position of an operation that cannot happen; None when no short stretch shows one."""
    if APPEND in register.kind:
        return None
    by_call = sorted(range(len(register)), key=register.call.__getitem__)
    for size in STRETCHES:
        for part, optional in _stretches(register, by_call, size):
            if meter.seconds_left() <= 0:
                return None
            few = meter.with_configurations(CONFIGURATIONS)
            result = search(part, few, None, optional, lookahead=False)
            if result.found is False and result.blocked is not None:
                return part.index[result.blocked]
    return None


def _stretches(
    register: Register, by_call: list[int], size: int
) -> Iterator[tuple[Register, frozenset[int]]]:
    """Each stretch with the writes before it, and the positions in it of these writes."""
    # Writes of before that have not returned, by their return; and of those that have returned one
    # for each effect, for all lead to the same states.
    running: list[tuple[int, int]] = []
    settled: dict[tuple[int, int, int], int] = {}
    begun = 0
    for first in range(0, len(by_call), size // 2):
        start = register.call[by_call[first]]
        for at in by_call[begun:first]:
            if register.kind[at] not in ONLY_OBSERVES:
                heappush(running, (register.until[at], at))
        begun = first
        while running and running[0][0] < start:
            at = heappop(running)[1]
            settled[register.kind[at], register.value[at], register.expected[at]] = at
        stretch = by_call[first : first + size]
        end = register.call[stretch[-1]] if first + size < len(by_call) else NEVER
        earlier = [at for _, at in running] + _that_matter(register, settled, stretch)
        yield _part(register, stretch, earlier, end)


def _that_matter(
    register: Register, settled: dict[tuple[int, int, int], int], stretch: list[int]
) -> list[int]:
    """The settled writes whose value an operation of the stretch may find, and compare-and-sets."""
    if any(register.kind[at] == CAS_MISSED for at in stretch):
        return list(settled.values())
    found = {register.value[at] for at in stretch if register.kind[at] == GET}
    found |= {register.expected[at] for at in stretch if register.kind[at] == CAS}
    found |= {expected for kind, _, expected in settled if kind == CAS}
    return [at for (_, value, _), at in settled.items() if value in found]


def _part(
    register: Register, stretch: list[int], earlier: list[int], end: int
) -> tuple[Register, frozenset[int]]:
    part, optional = Register(initial=register.initial), set[int]()
    inside = set(stretch)
    for at in [*earlier, *stretch]:
        until = register.until[at] if register.until[at] <= end else NEVER
        if until == NEVER and register.kind[at] in ONLY_OBSERVES:
            continue
        if at not in inside and until != NEVER:
            optional.add(len(part))
        call = register.call[at] if at in inside else BEFORE
        part.add(call, until, register.kind[at], register.value[at], register.expected[at], at)
    return part, frozenset(optional)
