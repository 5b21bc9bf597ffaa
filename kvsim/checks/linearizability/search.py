"""Decide what the zones cannot: a search for an order, "undecided" when its budget is spent.

The search is Lowe's just-in-time linearization ("Testing for linearizability", 2017): it goes over
the returns in the order of time, and changes the state only when an operation that returns has not
happened yet. The state then changes by a batch of pending operations of which that one is the last.
It is exponential at worst, for histories in which many clients at once write the same values again
and again. Five things keep it short, all exact:

* A read happens as soon as the state allows it.
* A put, delete or append that was pending when another put or delete happened could have happened
  directly before it, without a trace. From then on it may be left out ("hidden").
* What may be left out happens only when a pending operation uses its effect at once, or when it
  returns and something may use its effect later.
* Of pending operations with the same effect, the one that returns first happens first.
* A configuration is not tried when one was tried that had all its operations at hand and no other
  obligations. Configurations hold what is pending only: memory by concurrency, not by length.

A "yes" carries the order that was found, for an independent replay. A "no" carries the operation at
which the order that got furthest ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from msgspec import Struct

from kvsim.checks.linearizability.budget import Budget, Meter
from kvsim.checks.linearizability.effects import Effects, Join
from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import NEVER


class Configuration(NamedTuple):
    """A configuration at the return number `step`, and how it was reached.

    `available` are the pending writes that have not happened, and `obliged` the pending operations
    that still have to happen, as bits. With `unused` the last write may be left out and nothing has
    used it yet. `happened` are the positions that happened since `before`.
    """

    step: int
    state: int
    available: int
    obliged: int
    unused: bool
    happened: tuple[int, ...]
    before: Configuration | None


class SearchResult(Struct, frozen=True):
    """`found`: True, False or None (the budget is spent).

    `order` explains the register when `found` is True. Otherwise it is the longest that was found
    for the returns before `blocked`, and `blocked` is the position of the operation that cannot
    happen after it (None: nothing was tried).
    """

    found: bool | None
    order: tuple[int, ...] = ()
    blocked: int | None = None


def search(
    register: Register,
    meter: Meter | None = None,
    join: Join | None = None,
    optional: frozenset[int] = frozenset(),
    *,
    lookahead: bool = True,
) -> SearchResult:
    """Search an order that explains `register`.

    The writes in `optional` may be left out, as those with an unknown outcome may. Without
    `lookahead` the search is slower, and `blocked` is exact: the operation with the first return
    before which no order is possible. Raises ValueError for a register with appends without `join`.
    """
    effects = Effects(register, join, optional)
    timetable = _Timetable(register, effects)
    return _Search(timetable, lookahead=lookahead).run(meter or Budget().meter())


class _Timetable:
    """What does not depend on the order: returns by time, what is called before each, and bits.

    All lists are by step, the number of a return: operations `opened` since the step before,
    `writes` and `reads` that are pending, and the bits of the pending writes that any state allows
    (`hideable`). The bit of an operation is free again after its return.
    """

    def __init__(self, register: Register, effects: Effects) -> None:
        self.register, self.effects = register, effects
        relevant = [
            at for at in range(len(register)) if not effects.may_omit(at) or effects.is_useful(at)
        ]
        by_call = sorted(relevant, key=register.call.__getitem__)
        self.returns = sorted(
            (at for at in relevant if register.until[at] != NEVER), key=register.until.__getitem__
        )
        # Position → the step of its return.
        self.step_of = {at: step for step, at in enumerate(self.returns)}
        self.opened: list[list[int]] = []
        self.writes: list[tuple[int, ...]] = []
        self.reads: list[tuple[int, ...]] = []
        self.hideable: list[int] = []
        self.bit: dict[int, int] = {}
        # Value → the calls of what must find it, and the earliest return of these and later ones;
        # the latest call of what may find it; the calls of what may write it.
        self.needs: dict[int, tuple[list[int], list[int]]] = {}
        self.last_use: dict[int, int] = {}
        self.writers: dict[int, list[int]] = defaultdict(list)
        self._fill(by_call)
        self._find_last(by_call)

    def time(self, step: int) -> int:
        return self.register.until[self.returns[step]]

    def _fill(self, by_call: Sequence[int]) -> None:
        register, effects = self.register, self.effects
        free: list[int] = []
        called, hideable = 0, 0
        writes: dict[int, None] = {}
        reads: dict[int, None] = {}
        for step, at in enumerate(self.returns):
            begin, time = called, self.time(step)
            while called < len(by_call) and register.call[by_call[called]] <= time:
                new = by_call[called]
                called += 1
                self.bit[new] = free.pop() if free else 1 << (len(writes) + len(reads))
                (reads if effects.is_passive(new) else writes)[new] = None
                if effects.is_hideable(new):
                    hideable |= self.bit[new]
            self.opened.append(list(by_call[begin:called]))
            self.writes.append(tuple(writes))
            self.reads.append(tuple(reads))
            self.hideable.append(hideable)
            free.append(self.bit[at])
            hideable &= ~self.bit[at]
            writes.pop(at, None)
            reads.pop(at, None)

    def _find_last(self, by_call: Sequence[int]) -> None:
        needs: dict[int, list[int]] = defaultdict(list)
        for at in by_call:
            wanted = self.effects.wanted(at)
            if wanted is not None:
                self.last_use[wanted] = self.register.call[at]
                if not self.effects.may_omit(at):
                    needs[wanted].append(at)
            if not self.effects.is_passive(at):
                self.writers[self.effects.written(at)].append(self.register.call[at])
        for value, positions in needs.items():
            returns = list(accumulate((self.register.until[at] for at in reversed(positions)), min))
            calls = [self.register.call[at] for at in positions]
            self.needs[value] = calls, returns[::-1]

    def next_need(self, value: int, time: int) -> int:
        """The earliest return of what is called after `time` and must find `value`; or NEVER."""
        calls, returns = self.needs.get(value, ((), ()))
        index = bisect_right(calls, time)
        return returns[index] if index < len(calls) else NEVER

    def next_writer(self, value: int, time: int) -> int:
        """The call of the next possible write of `value` after `time`; or NEVER."""
        calls = self.writers.get(value, ())
        index = bisect_right(calls, time)
        return calls[index] if index < len(calls) else NEVER


class _Search:
    def __init__(self, timetable: _Timetable, *, lookahead: bool) -> None:
        self.lookahead = lookahead and not timetable.effects.appends
        self.timetable = timetable
        self.register, self.effects = timetable.register, timetable.effects
        self.tried: dict[tuple[int, int, bool], list[tuple[int, int]]] = defaultdict(list)
        self.furthest: Configuration | None = None

    def run(self, meter: Meter) -> SearchResult:
        stack = [iter([Configuration(-1, self.effects.initial, 0, 0, False, (), None)])]
        while stack:
            if meter.is_spent():
                return self._failed(None)
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                continue
            if not node.unused:
                node = self._advance(node)
                if node.step == len(self.timetable.returns):
                    return SearchResult(True, self._order(node))
                if self.furthest is None or node.step > self.furthest.step:
                    self.furthest = node
            if self._is_covered(node):
                continue
            meter.remember()
            stack.append(self._next(node))
        return self._failed(False)

    def _failed(self, found: bool | None) -> SearchResult:
        if self.furthest is None:
            return SearchResult(found)
        blocked = self.timetable.returns[self.furthest.step]
        return SearchResult(found, self._order(self.furthest), blocked)

    # Going forward in time, as long as nothing forces the state to change.

    def _advance(self, node: Configuration) -> Configuration:
        """The node at the next return of an operation that has not happened."""
        step, state, available, obliged, _, happened, before = node
        timetable, effects, taken = self.timetable, self.effects, list(happened)
        bits, returns = timetable.bit, timetable.returns
        while step < 0 or not (available | obliged) & bits[returns[step]]:
            step += 1
            if step == len(returns):
                break
            for new in timetable.opened[step]:
                if effects.is_passive(new):
                    if effects.allows(new, state):
                        taken.append(new)
                    else:
                        obliged |= bits[new]
                else:
                    available |= bits[new]
                    if not effects.may_omit(new):
                        obliged |= bits[new]
        return Configuration(step, state, available, obliged, False, tuple(taken), before)

    def _is_covered(self, node: Configuration) -> bool:
        """Was a configuration tried that can do all that this one can, and has to do no more?"""
        tried = self.tried[node.step, node.state, node.unused]
        available, obliged = node.available, node.obliged
        for more, less in tried:
            if not (available & ~more or less & ~obliged):
                return True
        tried.append((available, obliged))
        return False

    # One operation further.

    def _next(self, node: Configuration) -> Iterator[Configuration]:
        """What can follow: the operation that returns is left out, or a pending write happens."""
        at = self.timetable.returns[node.step]
        bit = self.timetable.bit[at]
        if not node.unused and not node.obliged & bit:
            without = node.available & ~bit
            value = self.effects.written(at)
            if value == node.state or not self._is_lost(value, without, node.obliged, node.step):
                yield node._replace(available=without, happened=(), before=node)
            if not self._may_be_used(node, at):
                return
            # From here on it must happen, or else it could have been left out above.
            node = node._replace(obliged=node.obliged | bit)
        # What lets the operation that returns happen comes first.
        wanted = self.effects.wanted(at) if node.obliged & bit else None
        candidates = self._candidates(node)
        candidates.sort(
            key=lambda other: other != at and self.effects.after(other, node.state) != wanted
        )
        for write in candidates:
            after = self._after(node, write, at)
            if after is not None:
                yield after

    def _may_be_used(self, node: Configuration, at: int) -> bool:
        """Could something that is pending, or called later, use the effect of this write?"""
        effects, timetable, time = self.effects, self.timetable, self.timetable.time(node.step)
        if effects.appends or effects.has_failed_cas:
            return True
        value = effects.written(at)
        if timetable.last_use.get(value, time) > time:
            return True
        pending = (*timetable.reads[node.step], *timetable.writes[node.step])
        return any(
            effects.wanted(other) == value
            and (node.available | node.obliged) & timetable.bit[other]
            for other in pending
        )

    def _candidates(self, node: Configuration) -> list[int]:
        """The pending writes that are legal; of those with the same effect the first to return."""
        effects, bits = self.effects, self.timetable.bit
        first: dict[tuple[int, int, int, bool], int] = {}
        for at in self.timetable.writes[node.step]:
            bit = bits[at]
            if not node.available & bit or not effects.allows(at, node.state):
                continue
            if node.unused and effects.is_blind(at):
                continue
            must = bool(node.obliged & bit) and not effects.is_blind(at)
            effect = (*effects.effect(at), must)
            other = first.get(effect)
            if other is None or self._returns_before(at, other):
                first[effect] = at
        return list(first.values())

    def _returns_before(self, at: int, other: int) -> bool:
        step_of, never = self.timetable.step_of, len(self.timetable.returns)
        return step_of.get(at, never) < step_of.get(other, never)

    def _after(self, node: Configuration, at: int, returning: int) -> Configuration | None:
        """The node after this write and the reads that it allows. None when it is of no use."""
        effects, timetable, step = self.effects, self.timetable, node.step
        bit = timetable.bit[at]
        state = effects.after(at, node.state)
        must = bool(node.obliged & bit)
        available, obliged = node.available & ~bit, node.obliged & ~bit
        if effects.is_blind(at):
            obliged &= ~timetable.hideable[step]
        if state != node.state and self._is_lost(node.state, available, obliged, step):
            return None
        reads = self._reads(obliged, state, step)
        for read in reads:
            obliged &= ~timetable.bit[read]
        needed = at == returning or (must and not effects.is_hideable(at))
        unused = not reads and not needed
        if unused and not self._has_user(available, state, step):
            return None
        return Configuration(step, state, available, obliged, unused, (at, *reads), node)

    def _reads(self, obliged: int, state: int, step: int) -> list[int]:
        """The pending reads that `state` allows."""
        bits = self.timetable.bit
        return [
            at
            for at in self.timetable.reads[step]
            if obliged & bits[at] and self.effects.allows(at, state)
        ]

    def _has_user(self, available: int, state: int, step: int) -> bool:
        """Is a write pending whose effect depends on `state`?

        An append to what leads to nothing that is read could as well have happened before it.
        """
        effects, bits = self.effects, self.timetable.bit
        return any(
            available & bits[at] and effects.allows(at, state) and effects.depends_on(at, state)
            for at in self.timetable.writes[step]
        )

    def _is_lost(self, value: int, available: int, obliged: int, step: int) -> bool:
        """Does an operation have to find `value`, which none that is left can write in time?"""
        if not self.lookahead:
            return False
        effects, timetable, time = self.effects, self.timetable, self.timetable.time(step)
        need = timetable.next_need(value, time)
        for at in timetable.writes[step]:
            bit = timetable.bit[at]
            if available & bit and effects.written(at) == value:
                return False
            if obliged & bit and effects.wanted(at) == value:
                need = min(need, self.register.until[at])
        for at in timetable.reads[step]:
            if obliged & timetable.bit[at] and effects.wanted(at) == value:
                need = min(need, self.register.until[at])
        return need < timetable.next_writer(value, time)

    # The order that was found.

    def _order(self, node: Configuration) -> tuple[int, ...]:
        """What happened on the way to `node`, with what is hidden where it left no trace."""
        nodes = [node]
        while (before := nodes[-1].before) is not None:
            nodes.append(before)
        nodes.reverse()
        hidden = self._hidden(nodes)
        order: list[int] = []
        for node in nodes:
            if node.happened and node.before and self.effects.is_blind(node.happened[0]):
                pending = self.timetable.writes[node.before.step]
                order += [at for at in pending if at in hidden]
                hidden.difference_update(pending)
            order += node.happened
        return tuple(order)

    def _hidden(self, nodes: Sequence[Configuration]) -> set[int]:
        """Writes that returned before the last node and had to happen, but are on no node."""
        happened = {at for node in nodes for at in node.happened}
        return {
            at
            for at in self.timetable.returns[: nodes[-1].step]
            if at not in happened and not self.effects.may_omit(at)
        }
