"""The proof of "no": a smallest set of operations that cannot be ordered, whatever all the others did.

What may be taken away without making a history worse: a read; a value's write together with all its reads
and the compare-and-sets built on it (a unit). A delete may only be loosened, to "at any time, or never",
because it may be what explains an absence. Failed compare-and-sets and appends forbid taking writes away,
so there only reads go.

First look near the place the ruling names, widening until the contradiction shows; then take away what is
not needed (Zeller's ddmin), asking the same decider each time. With a deadline: a set that is not quite
minimal is still a proof.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kvsim.checks.consistency.linear.chains import Layout, lay_out
from kvsim.checks.consistency.linear.ddmin import ddmin
from kvsim.checks.consistency.linear.misses import met_what_it_expected
from kvsim.checks.consistency.linear.register import Register
from kvsim.checks.consistency.linear.ruling import Reason, Ruling
from kvsim.checks.consistency.linear.search import Budget, Join, search
from kvsim.checks.consistency.linear.zones import decide_layout
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MISSED, DELETE, GET, NEVER

NO_WRITE = frozenset({Reason.NEVER_WRITTEN, Reason.REFUSED_WRITE})
SEARCH_BUDGET = Budget(seconds=1.0, configurations=50_000)
FIRST_WINDOW = 32  # operations on each side of the place the ruling names


@dataclass(frozen=True)
class Core:
    """Positions of contradictory operations, by call time, and whether nothing more could be taken away.

    With `starts_absent` earlier deletes stand for "absent at the start". The contradiction holds even when
    `loosened` other deletes happened at any time, or never.
    """

    at: tuple[int, ...]
    reason: Reason
    minimal: bool
    starts_absent: bool = False
    loosened: int = 0


def core_of(register: Register, ruling: Ruling, join: Join | None = None, seconds: float = 5.0) -> Core:
    """A minimal contradictory set for a register that `ruling` found not to be linearizable."""
    if ruling.reason in NO_WRITE and ruling.values:
        at = _reads_of(register, ruling.values[0])[:1]
        return Core(tuple(at), ruling.reason, True)
    return _Shrinker(register, ruling, join, time.monotonic() + seconds).core()


def _reads_of(register: Register, value: int) -> list[int]:
    reads = [
        at
        for at, (kind, read) in enumerate(zip(register.kind, register.value, strict=True))
        if kind == GET and read == value
    ]
    return sorted(reads, key=register.until.__getitem__)


class _Shrinker:
    def __init__(self, register: Register, ruling: Ruling, join: Join | None, deadline: float) -> None:
        self.whole, self.ruling, self.join, self.deadline = register, ruling, join, deadline
        self.register = self._without_needless_misses()
        self.reads_only = APPEND in self.register.kind or CAS_MISSED in self.register.kind
        self.deletes: list[int] = []
        self.loosened: frozenset[int] = frozenset()
        self.starts_absent = False
        self.reason = ruling.reason or Reason.NO_ORDER
        self.fixed: list[int] = []  # operations that may not be taken away
        self.units = self._units()

    def _without_needless_misses(self) -> Register:
        """Misses only forbid; when the rest contradicts itself they are beside the point, and block taking
        writes away.
        """
        if CAS_MISSED not in self.whole.kind or self.ruling.reason is Reason.MISS_INSIDE:
            return self.whole
        rest = self.whole.subset(at for at, kind in enumerate(self.whole.kind) if kind != CAS_MISSED)
        return rest if _contradicts(rest, self.join) else self.whole

    def core(self) -> Core:
        if self.ruling.reason is Reason.MISS_INSIDE:
            chosen = self._around_miss()
        else:
            units = self._minimise(self._near(), self._bad_units)
            self._settle_deletes(units)
            chosen = self._shrink_units(units)
        at = self._original([*chosen, *(d for d in self.deletes if d not in self.loosened), *self.fixed])
        at.sort(key=self.whole.call.__getitem__)
        in_time = time.monotonic() < self.deadline
        return Core(tuple(at), self.reason, in_time, self.starts_absent, len(self.loosened))

    def _original(self, positions: Sequence[int]) -> list[int]:
        if self.register is self.whole:
            return list(positions)
        return [self.register.index[at] for at in positions]

    def _around_miss(self) -> list[int]:
        """The miss, the first that proves its expected value current, and the last."""
        register, (miss,), (value,) = self.register, self.ruling.at, self.ruling.values
        holders = [
            at
            for at, (kind, written) in enumerate(zip(register.kind, register.value, strict=True))
            if (written == value and kind != CAS_MISSED) or (kind == CAS and register.expected[at] == value)
        ]
        ends = [at for at in holders if register.call[at] > register.until[miss]]
        begins = [at for at in holders if register.until[at] < register.call[miss]]
        self.deletes = []
        self.fixed = []
        return [*begins[:1], miss, *ends[:1]]

    def _units(self) -> list[list[int]]:
        """What goes together; deletes (and writes, where they may not go) are set apart."""
        register = self.register
        root = self._roots()
        units: dict[tuple[int, int], list[int]] = defaultdict(list)
        for at, kind in enumerate(register.kind):
            if kind == DELETE:
                self.deletes.append(at)
            elif self.reads_only and kind != GET:
                self.fixed.append(at)
            elif self.reads_only or (kind == GET and register.value[at] == ABSENT):
                units[1, at].append(at)
            else:
                value = register.value[at]
                units[0, root.get(value, value)].append(at)
        if self.reads_only:
            self.fixed += self.deletes
            self.deletes = []
        return list(units.values())

    def _roots(self) -> dict[int, int]:
        """For every value that compare-and-sets connect with others, one that stands for all of them."""
        register, parent = self.register, {}

        def find(value: int) -> int:
            while parent.setdefault(value, value) != value:
                parent[value] = parent[parent[value]]
                value = parent[value]
            return value

        for kind, value, expected in zip(register.kind, register.value, register.expected, strict=True):
            if kind == CAS and expected != ABSENT:
                parent[find(value)] = find(expected)
        return {value: find(value) for value in list(parent)}

    # which units the contradiction is in, roughly

    def _near(self) -> list[list[int]]:
        """The units that the ruling names, or those around it in time, as few as show the contradiction."""
        named = self._named_units()
        if named and self._bad_units(named):
            return named
        by_call = sorted(range(len(self.register)), key=self.register.call.__getitem__)
        unit_of = {at: number for number, unit in enumerate(self.units) for at in unit}
        place = self._place(by_call)
        width = FIRST_WINDOW
        while width < len(by_call):
            window = by_call[max(0, place - width) : place + width]
            numbers = sorted({unit_of[at] for at in window if at in unit_of})
            units = [self.units[number] for number in numbers]
            if self._bad_near(units):
                return units
            width *= 4
        return self.units

    def _named_units(self) -> list[list[int]]:
        register, values = self.register, set(self.ruling.values)
        if self.register is not self.whole or self.reads_only:
            return []
        for at in self.ruling.at:
            values.update({register.value[at], register.expected[at]} - {ABSENT})
        return [unit for unit in self.units if any(register.value[at] in values for at in unit)]

    def _place(self, by_call: list[int]) -> int:
        """Where in the order of calls to look first."""
        if self.register is not self.whole:
            return len(by_call) // 2
        values = set(self.ruling.values)
        named = list(self.ruling.at) or [at for at in by_call if self.register.value[at] in values]
        return by_call.index(named[0]) if named else len(by_call) // 2

    def _bad_near(self, units: list[list[int]]) -> bool:
        """As `_bad_units`, but with only the deletes near these units; keeps that restriction when it
        suffices.
        """
        everything = self.deletes, self.starts_absent
        self._drop_far_deletes([at for unit in units for at in unit])
        if self._bad_units(units):
            return True
        self.deletes, self.starts_absent = everything
        return False

    # taking away

    def _bad_units(self, units: Sequence[Sequence[int]]) -> bool:
        return self._bad([at for unit in units for at in unit])

    def _bad(self, positions: Sequence[int]) -> bool:
        """Do these operations, with the deletes as they are treated now, still contradict each other?"""
        part = self.register.subset([*positions, *self.deletes, *self.fixed], self.loosened)
        if self.starts_absent:
            part = replace(part, initial=ABSENT)
        reason = _contradicts(part, self.join)
        if reason is not None:
            self.reason = reason
        return reason is not None

    def _minimise(self, items: list, bad: Callable[[list], bool]) -> list:
        return ddmin(items, bad, lambda: time.monotonic() >= self.deadline)

    def _shrink_units(self, units: list[list[int]]) -> list[int]:
        """Take single reads away, and compare-and-sets at the end of a chain that nobody builds on."""
        kept = [at for unit in units for at in unit]
        for unit in units:
            reads = [at for at in unit if self.register.kind[at] == GET]
            others = [at for at in kept if at not in set(reads)]
            kept = others + self._minimise(reads, lambda some, others=others: self._bad(others + some))
        while (end := self._needless_cas(kept)) is not None:
            kept.remove(end)
        self._bad(kept)  # the reason of what is left
        return kept

    def _needless_cas(self, kept: list[int]) -> int | None:
        register = self.register
        for at in kept:
            if register.kind[at] != CAS or self.reads_only:
                continue
            value, rest = register.value[at], [other for other in kept if other != at]
            seen = any(
                (register.kind[other] == GET and register.value[other] == value)
                or (register.kind[other] == CAS and register.expected[other] == value)
                for other in rest
            )
            if not seen and self._bad(rest):
                return at
        return None

    # deletes

    def _settle_deletes(self, units: list[list[int]]) -> None:
        """Keep those that overlap what is left; loosen those of them that the contradiction does not need."""
        rest = [at for unit in units for at in unit]
        if not self._bad_near(units):
            self._bad(rest)
        everything = frozenset(self.deletes)

        def bad(kept: list[int]) -> bool:
            self.loosened = everything - frozenset(kept)
            return self._bad(rest)

        needed = self._minimise(list(self.deletes), bad)
        self.loosened = everything - frozenset(needed)

    def _drop_far_deletes(self, rest: list[int]) -> None:
        """Those over before `rest` begins only make the key absent at its start; those after its end are
        irrelevant.
        """
        register = self.register
        answered = [register.until[at] for at in rest if register.until[at] != NEVER]
        if not answered or any(register.value[at] == register.initial != ABSENT for at in rest):
            return
        begin, end = min(register.call[at] for at in rest), max(answered)
        if any(register.until[at] < begin for at in self.deletes):
            self.starts_absent = True
        self.deletes = [at for at in self.deletes if register.until[at] >= begin and register.call[at] <= end]


def _contradicts(register: Register, join: Join | None) -> Reason | None:
    """Why `register` is not linearizable; None when it is, or when nobody can tell within the budget."""
    layout = lay_out(register)
    ruling = decide_layout(layout) if isinstance(layout, Layout) else layout
    if ruling.linearizable and isinstance(layout, Layout):
        ruling = met_what_it_expected(layout.clusters) or ruling
        if ruling.linearizable and CAS_MISSED in register.kind:
            ruling = search(register, SEARCH_BUDGET, join)
    elif ruling.linearizable is None:
        ruling = search(register, SEARCH_BUDGET, join)
    return ruling.reason if ruling.linearizable is False else None
