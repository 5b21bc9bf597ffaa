"""The moments of a recorded run at which the power may be cut, and the states that may be left.

Crash-consistency testing after ALICE (Pillai and others, 2014) and CrashMonkey (Mohan and others,
2018): before and after every sync and every change of names, every legal state, up to a limit; the
rest is drawn. Pure.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from msgspec import Struct

from kvsim.faults.power.disk_model import (
    Change,
    DiskModel,
    DiskState,
    NameChange,
    sectors_of,
)
from kvsim.faults.power.recorded_calls import NAMING, Kind, RecordedCall

MOMENTS = NAMING | {Kind.SYNCED, Kind.DATA_SYNCED, Kind.ALL_SYNCED}
# Of a moment with no more parts than these, every state is made.
PARTS_MAX = 6
STATES_MIN = 4


class CutState(Struct, frozen=True):
    """A state that a power cut may leave at a moment.

    What was acknowledged by `must_ns` has to be there; what was begun by `may_ns` may be.
    """

    state: DiskState
    must_ns: int
    may_ns: int
    moment: str


class Moment(Struct, frozen=True):
    """A moment, by the calls around it. `legal`: how many states it has."""

    must_ns: int
    may_ns: int
    name: str
    legal: int


def moments_of(disk: DiskModel, calls: Sequence[RecordedCall]) -> Iterator[Moment]:
    """The moments of a record, while `disk` is what it is at each. `disk`: what was there before
    the first call.
    """
    for call in calls:
        is_moment = call.kind in MOMENTS and call.succeeded
        if is_moment:
            before = f"before {describe(call)}"
            yield Moment(call.began_ns, call.time_ns, before, _count_legal(disk))
        disk.apply(call)
        if is_moment:
            after = f"after {describe(call)}"
            yield Moment(call.time_ns, call.time_ns, after, _count_legal(disk))
    last = max((call.time_ns for call in calls), default=0)
    yield Moment(last, last, "at the end", _count_legal(disk))


def share_of_each(legal: Sequence[int], limit: int) -> int:
    """How many states each moment may have, so that all have about `limit`."""
    share = STATES_MIN
    while share < limit and sum(min(count, share + 1) for count in legal) <= limit:
        share += 1
    return share


def states_at(disk: DiskModel, moment: Moment, most: int, rng: random.Random) -> Iterator[CutState]:
    """States of the moment that `disk` is at: every one, or about `most` of them."""
    parts, names = _parts_of(disk), disk.journal.changes
    chosen = (
        _every(disk, parts, names, disk.model == "ext4")
        if len(parts) + len(names) <= PARTS_MAX
        else _drawn(disk, rng)
    )
    for state in itertools.islice(chosen, min(most, moment.legal)):
        yield CutState(state, moment.must_ns, moment.may_ns, moment.name)


def describe(call: RecordedCall) -> str:
    """A call in a few words."""
    name = call.kind.name.lower().replace("_", " ")
    at_s = call.time_ns / 1e9
    return f"{name} {' to '.join(path.rpartition('/')[2] for path in call.paths)}".strip() + (
        f" (clock {at_s:.3f})"
    )


def _parts_of(disk: DiskModel) -> list[tuple[int, Change]]:
    """What may be kept or lost by itself, with the number of its file."""
    return [
        (number, part)
        for number, file in disk.files.items()
        for change in file.changes
        for part in sectors_of(change)
    ]


def _count_legal(disk: DiskModel) -> int:
    names = len(disk.journal.changes)
    count: int = 2 ** len(_parts_of(disk)) * (names + 1 if disk.model == "ext4" else 2**names)
    return count


Parts = Sequence[tuple[int, Change]]


def _every(
    disk: DiskModel, parts: Parts, names: Sequence[NameChange], in_order: bool
) -> Iterator[DiskState]:
    """Every state: nothing first, then everything, then the rest."""
    lists = [names[:count] for count in range(len(names) + 1)]
    if not in_order:
        lists = [
            [name for name, kept in zip(names, bits, strict=True) if kept]
            for bits in itertools.product((False, True), repeat=len(names))
        ]
    subsets = [
        [part for part, kept in zip(parts, bits, strict=True) if kept]
        for bits in itertools.product((False, True), repeat=len(parts))
    ]
    pairs = list(itertools.product(lists, subsets))
    for kept, subset in [pairs[0], *pairs[:0:-1]]:
        yield disk.state_with(kept, _by_file(subset))


def _drawn(disk: DiskModel, rng: random.Random) -> Iterator[DiskState]:
    """Nothing, everything, then prefixes and any, as they are drawn."""
    yield disk.legal("none", rng)
    yield disk.legal("all", rng)
    while True:
        yield disk.legal("any", rng)
        yield disk.legal("prefix", rng)


def _by_file(parts: Parts) -> dict[int, list[Change]]:
    found: dict[int, list[Change]] = {}
    for number, part in parts:
        found.setdefault(number, []).append(part)
    return found
