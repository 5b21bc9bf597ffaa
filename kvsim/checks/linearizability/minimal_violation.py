"""The proof that a key is not linearizable: a minimal set of operations that contradict each other.

A read may be left out without making a history worse. Other operations may be relaxed: to "at any
time, or never", or to "at any time before it returned, or never". What is left, the kept operations
with their real times, contradicts itself, and so does any set with fewer relaxations.

First look near the operations that the decision names, and widen until the contradiction shows;
then relax and leave out all that is not needed (ddmin, see `delta_debugging`), asking the deciders
each time. There is a deadline: a set that is not quite minimal is still a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from kvsim.checks.linearizability.append_chains import chain_appends
from kvsim.checks.linearizability.budget import Budget, Meter
from kvsim.checks.linearizability.build_zones import ZoneSet, build_zones
from kvsim.checks.linearizability.decision import BEFORE, Decision, ViolationReason
from kvsim.checks.linearizability.delta_debugging import ddmin
from kvsim.checks.linearizability.effects import Effects, Join, after
from kvsim.checks.linearizability.failed_cas import find_impossible_failure
from kvsim.checks.linearizability.register import Register
from kvsim.checks.linearizability.search import search
from kvsim.checks.linearizability.zones import decide_zones
from kvsim.history.operations import (
    APPEND,
    CAS,
    CAS_MISSED,
    CHANGES_KEY,
    DELETE,
    EXPECTS,
    GET,
    NEVER,
    OBSERVES,
    ONLY_OBSERVES,
)

NO_WRITE = frozenset({ViolationReason.NEVER_WRITTEN, ViolationReason.REFUSED_WRITE})
# Kinds after which nothing is left of what the key held.
REPLACES_VALUE = CHANGES_KEY - {APPEND}
EXPLANATION_BUDGET = Budget(seconds=5.0)
# The share of the time for a set with one kind of relaxation, and of what is then left for one with
# the other kind. The rest finds the operation that cannot happen and an order.
FIRST_SHARE, SECOND_SHARE = 0.75, 0.7
# One question to the deciders: seconds and configurations.
TEST_SECONDS_MAX = 1.0
TEST_CONFIGURATIONS = 20_000
# Operations around the one that the decision names.
FIRST_WINDOW = 16
# A larger set is not easy to read: then the other kind of relaxation is tried, too.
READABLE_OPERATIONS = 8


class MinimalViolation(Struct, frozen=True):
    """Positions of contradictory operations, by call time, and whether the set is minimal.

    The contradiction holds even when `relaxed` other writes happened at any time, or never; with
    `before`, at any time before they returned, or never, and later ones do not matter. `blocked` is
    the operation of the set that cannot happen (None: not known). `order` explains the others; it
    may contain relaxed writes. Where `blocked` may happen in it, the key has one of `states`.
    """

    at: tuple[int, ...]
    reason: ViolationReason
    minimal: bool
    relaxed: int = 0
    before: bool = False
    blocked: int | None = None
    order: tuple[int, ...] = ()
    states: tuple[int, ...] = ()


def find_minimal_violation(
    register: Register, decision: Decision, join: Join | None = None, meter: Meter | None = None
) -> MinimalViolation:
    """A minimal contradictory set of a register that `decision` found not to be linearizable.

    When `meter` is spent the smallest set found so far is returned.
    """
    meter = meter or EXPLANATION_BUDGET.meter()
    reason = decision.reason or ViolationReason.NO_ORDER
    if reason in NO_WRITE and decision.values:
        at = tuple(_reads_of(register, decision.values[0])[:1])
        if at:
            return MinimalViolation(at, reason, True, blocked=at[0])
    best: _Minimizer | None = None
    smallest: list[int] = []
    # Where values repeat, the second kind is found in a fraction of the time, and is smaller.
    first = reason is ViolationReason.NO_ORDER
    for before, share in ((first, FIRST_SHARE), (not first, SECOND_SHARE)):
        minimizer = _Minimizer(register, decision, join, meter.share(share), before=before)
        kept = minimizer.minimize()
        if kept and (best is None or len(kept) < len(smallest)):
            best, smallest = minimizer, kept
        if best is not None and len(smallest) <= READABLE_OPERATIONS:
            break
    return best.explained(smallest, meter) if best else MinimalViolation((), reason, False)


def _reads_of(register: Register, value: int) -> list[int]:
    reads = [
        at
        for at, (kind, read) in enumerate(zip(register.kind, register.value, strict=True))
        if kind == GET and read == value
    ]
    return sorted(reads, key=register.until.__getitem__)


class _Minimizer:
    """Keeps some operations of a register and relaxes the others.

    With `before` only the operations that were called before the first impossible return count.
    """

    def __init__(
        self,
        register: Register,
        decision: Decision,
        join: Join | None,
        meter: Meter,
        *,
        before: bool = False,
    ) -> None:
        self.register, self.decision, self.join, self.meter = register, decision, join, meter
        self.before, self.minimal = before, False
        self.reason = decision.reason or ViolationReason.NO_ORDER
        self.end = self._first_impossible_return() if before else NEVER
        self.positions: Sequence[int] = [
            at for at in range(len(register)) if register.call[at] <= self.end
        ]

    def _first_impossible_return(self) -> int:
        """The time of the first return before which no order is possible; NEVER: not known."""
        result = search(self.register, self._test_meter(), self.join, lookahead=False)
        if result.found is False and result.blocked is not None:
            return self.register.until[result.blocked]
        # What stopped the decider is a good guess, and a wrong guess proves nothing wrong.
        named = self.decision.at if self.reason is ViolationReason.NO_ORDER else ()
        return self.register.until[named[0]] if named else NEVER

    def _test_meter(self) -> Meter:
        left = self.meter.seconds_left()
        return Budget(min(TEST_SECONDS_MAX, left), TEST_CONFIGURATIONS).meter()

    def minimize(self) -> list[int]:
        """The positions of a minimal set; none when there was no time to find one."""
        for kept in self._windows():
            if self._expired():
                break
            if self._contradict(kept):
                self.positions = self._relevant(kept)
                # Those in front are left out first: what was written says more than that it was
                # read.
                kept.sort(key=lambda at: self.register.kind[at] not in ONLY_OBSERVES)
                smallest = ddmin(kept, self._contradict, self._expired)
                self.minimal = not self._expired()
                # For the reason of what is left.
                self._contradict(smallest)
                return smallest
        return []

    def _expired(self) -> bool:
        return self.meter.seconds_left() <= 0

    # Where to look first.

    def _windows(self) -> Iterator[list[int]]:
        """What to keep: what the decision names, then more and more around it, then all."""
        if not self.before and (named := self._named()):
            yield named
        by_call = sorted(self.positions, key=self.register.call.__getitem__)
        center = len(by_call) if self.before else self._center(by_call)
        width = FIRST_WINDOW
        while width < len(by_call):
            yield by_call[max(0, center - width) : center + width]
            width *= 4
        yield by_call

    def _named(self) -> list[int]:
        register, values = self.register, set(self.decision.values)
        if self.reason is ViolationReason.NO_ORDER or APPEND in register.kind:
            return []
        for at in self.decision.at:
            values.add(register.value[at])
            if register.kind[at] in EXPECTS:
                values.add(register.expected[at])
        return [
            at
            for at in self.positions
            if (register.kind[at] != DELETE and register.value[at] in values)
            or (register.kind[at] == CAS and register.expected[at] in values)
            or at in self.decision.at
        ]

    def _center(self, by_call: list[int]) -> int:
        """The index in the order of calls around which to look."""
        values = set(self.decision.values)
        named = [at for at in self.decision.at if at < len(self.register)] or [
            at for at in by_call if self.register.value[at] in values
        ]
        return by_call.index(named[0]) if named else len(by_call) // 2

    # Relaxing.

    def _contradict(self, kept: Sequence[int]) -> bool:
        """Do these operations contradict each other, all others relaxed? Keeps the reason."""
        part, optional = self._relaxed(kept)
        if optional or self.before:
            result = search(part, self._test_meter(), self.join, optional)
            reason = ViolationReason.NO_ORDER if result.found is False else None
        else:
            reason = _contradiction(part, self.join, self._test_meter)
        if reason is not None:
            self.reason = reason
        return reason is not None

    def _relaxed(self, kept: Sequence[int]) -> tuple[Register, frozenset[int]]:
        """The kept operations and the relaxed ones, and which may be left out though they returned.

        Its indexes are positions in the whole register.
        """
        register, exact, optional = self.register, set(kept), set[int]()
        part = Register(refused=register.refused, initial=register.initial)
        for at in self.positions:
            kind, call = register.kind[at], register.call[at]
            until = register.until[at] if register.until[at] <= self.end else NEVER
            if kind in ONLY_OBSERVES:
                if at not in exact or until == NEVER:
                    continue
            elif at not in exact:
                call = BEFORE
                if not self.before:
                    until = NEVER
                elif until != NEVER:
                    optional.add(len(part))
            part.add(call, until, kind, register.value[at], register.expected[at], at)
        return part, frozenset(optional)

    def _relevant(self, kept: Sequence[int]) -> list[int]:
        """The kept operations and those of the relaxed ones that can make a difference."""
        part, optional = self._relaxed(kept)
        effects, exact = Effects(part, self.join, optional), set(kept)
        return [
            at for number, at in enumerate(part.index) if at in exact or effects.is_useful(number)
        ]

    # What a reader wants to know of it.

    def _with_writer(self, kept: list[int]) -> list[int]:
        """The set with the last write of what its last operation had to find, when it has none."""
        register = self.register
        blocked = self._blocked(kept)
        if blocked is None or register.kind[blocked] == CAS_MISSED:
            return kept
        kind = register.kind[blocked]
        wanted = register.value[blocked] if kind == GET else register.expected[blocked]
        writers = [
            at
            for at in self._relevant(kept)
            if register.kind[at] in REPLACES_VALUE
            and at != blocked
            and register.value[at] == wanted
        ]
        if not writers or set(writers) & set(kept):
            return kept
        return [*kept, max(writers, key=register.until.__getitem__)]

    def _blocked(self, kept: Sequence[int]) -> int | None:
        """The operation with the first return before which no order is possible.

        Where the search cannot tell, the last to return of those that observe something: when the
        set is minimal, the others have an order without it. None: that is not known.
        """
        part, optional = self._relaxed(kept)
        result = search(part, self._test_meter(), self.join, optional, lookahead=False)
        if result.found is False and result.blocked is not None:
            return part.index[result.blocked]
        register = self.register
        observing = [
            at for at in kept if register.kind[at] in OBSERVES and register.until[at] != NEVER
        ]
        if not self.minimal:
            return None
        return max(observing, key=register.until.__getitem__, default=None)

    def explained(self, kept: list[int], meter: Meter) -> MinimalViolation:
        """The set with the operation that cannot happen and the order of the others.

        `meter` is for finding these two.
        """
        self.meter = meter
        if self.before:
            kept = self._with_writer(kept)
        relaxed = len(set(self._relevant(kept)) - set(kept))
        blocked = self._blocked(kept)
        at = tuple(sorted(kept, key=self.register.call.__getitem__))
        order = None if blocked is None else self._order_without(kept, blocked)
        states = () if order is None or blocked is None else self._states(order, kept, blocked)
        return MinimalViolation(
            at, self.reason, self.minimal, relaxed, self.before, blocked, tuple(order or ()), states
        )

    def _order_without(self, kept: Sequence[int], blocked: int) -> list[int] | None:
        """An order of the other operations; None when there is none, or no time."""
        positions = self.positions
        self.positions = [at for at in positions if at != blocked]
        part, optional = self._relaxed([at for at in kept if at != blocked])
        self.positions = positions
        result = search(part, self._test_meter(), self.join, optional)
        return [part.index[number] for number in result.order] if result.found else None

    def _states(self, order: Sequence[int], kept: Sequence[int], blocked: int) -> tuple[int, ...]:
        """The states of the key in `order` at the points at which `blocked` may happen."""
        register, exact = self.register, set(kept)
        states = [register.initial]
        first, last = 0, len(order)
        for number, at in enumerate(order):
            states.append(after(register, at, states[-1], self.join))
            # A relaxed write has no time, or happened before it returned.
            has_end = at in exact or self.before
            if has_end and register.until[at] < register.call[blocked]:
                first = number + 1
            if at in exact and register.call[at] > register.until[blocked]:
                last = min(last, number)
        found = tuple(dict.fromkeys(states[first : last + 1]))
        # Where the order has what it had to find, the order does not show why it cannot happen.
        kind = register.kind[blocked]
        wanted = register.expected[blocked] if kind == CAS else register.value[blocked]
        return () if kind != CAS_MISSED and wanted in found else found


def _contradiction(
    register: Register, join: Join | None, meter: Callable[[], Meter]
) -> ViolationReason | None:
    """Why `register` is not linearizable; None when it is, or when that is undecided."""
    chained: Register | Decision = register
    if APPEND in register.kind and join is not None:
        chained = chain_appends(register, join)
    zone_set = chained if isinstance(chained, Decision) else build_zones(chained)
    decision = decide_zones(zone_set) if isinstance(zone_set, ZoneSet) else zone_set
    if decision.linearizable and isinstance(zone_set, ZoneSet):
        decision = find_impossible_failure(zone_set.clusters) or decision
        if decision.linearizable and CAS_MISSED not in register.kind:
            return None
    if decision.linearizable is False:
        return decision.reason
    found = search(register, meter(), join).found
    return ViolationReason.NO_ORDER if found is False else None
