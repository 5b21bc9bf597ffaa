"""Decide what the zones cannot: try orders, remember what was tried, and say "undecided" when the budget is
spent.

Wing and Gong's search with Lowe's memory ("Testing for linearizability", 2017). Exponential at worst, for
histories in which values are written again and again by many clients at once. Three things keep it short,
all exact: a configuration is stored relative to the prefix that is done (memory by concurrency, not by
length); an operation that never changes the state is taken as soon as it is legal; and the state does not
leave a value that somebody still has to see and nobody can write again.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from kvsim.checks.consistency.linear.register import Register
from kvsim.checks.consistency.linear.ruling import YES, Reason, Ruling, no, undecided
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MISSED, DELETE, GET, NEVER

Join = Callable[[int, int], int]  # the number of the value that appending the second to the first gives
Configuration = tuple[
    int, int, int, int
]  # done prefix, more done (bits from there), unknown ones taken (bits), state


@dataclass(frozen=True)
class Budget:
    """How long a search may take, and how many configurations it may remember."""

    seconds: float = 10.0
    configurations: int = 1_000_000


def search(register: Register, budget: Budget = Budget(), join: Join | None = None) -> Ruling:
    """Whether `register` is linearizable; undecided when the budget is spent. Appends need `join`."""
    found = _Search(register, join).run(budget)
    if found is None:
        return undecided(Reason.BUDGET)
    return YES if found else no(Reason.NO_ORDER)


class _Search:
    def __init__(self, register: Register, join: Join | None) -> None:
        self.register, self.join = register, join
        by_call = sorted(range(len(register)), key=register.call.__getitem__)
        self.must = [at for at in by_call if register.until[at] != NEVER]
        self.may = [at for at in by_call if register.until[at] == NEVER]
        self.call = [register.call[at] for at in self.must]
        self.until = [register.until[at] for at in self.must]
        self.passive = [self._never_changes_state(at) for at in self.must]
        self.state_is_written = APPEND not in register.kind
        self.needs: dict[int, list[int]] = defaultdict(list)  # value → places in `must` that have to see it
        self.writes: dict[int, list[int]] = defaultdict(list)  # value → places in `must` that write it
        for place, at in enumerate(self.must):
            self._index(place, at)
        self.may = [at for at in self.may if self._may_be_seen(at)]

    def _never_changes_state(self, at: int) -> bool:
        register = self.register
        return register.kind[at] in (GET, CAS_MISSED) or (
            register.kind[at] == CAS and register.expected[at] == register.value[at]
        )

    def _index(self, place: int, at: int) -> None:
        register = self.register
        if register.kind[at] == GET:
            self.needs[register.value[at]].append(place)
        elif register.kind[at] != CAS_MISSED:
            self.writes[register.value[at]].append(place)
            if register.kind[at] == CAS:
                self.needs[register.expected[at]].append(place)

    def _may_be_seen(self, at: int) -> bool:
        """Could leaving out this unknown operation make a difference?"""
        register = self.register
        if not self.state_is_written or CAS_MISSED in register.kind:
            return True
        value = register.value[at]
        expecting = (other for other in self.may if register.kind[other] == CAS)
        return bool(self.needs.get(value)) or any(register.expected[other] == value for other in expecting)

    def run(self, budget: Budget) -> bool | None:
        deadline = time.monotonic() + budget.seconds
        seen: set[Configuration] = set()
        stack: list[Configuration] = [(0, 0, 0, self.register.initial)]
        rounds = 0
        while stack:
            rounds += 1
            if len(seen) > budget.configurations or (not rounds & 255 and time.monotonic() > deadline):
                return None
            configuration, ready, horizon = self._take_passive(*stack.pop())
            if configuration[0] >= len(self.must):
                return True
            if configuration not in seen:
                seen.add(configuration)
                stack.extend(self._next(configuration, ready, horizon))
        return False

    def _take_passive(
        self, done: int, more: int, taken: int, state: int
    ) -> tuple[Configuration, list[int], int]:
        """Take what is legal and changes nothing, as long as there is such a thing; then what else could be
        next.
        """
        while True:
            ready, horizon = self._ready(done, more)
            legal = [place for place in ready if self.passive[place] and self._legal(self.must[place], state)]
            if not legal:
                return (done, more, taken, state), ready, horizon
            for place in legal:
                more |= 1 << (place - done)
            done, more = _advance(done, more)

    def _ready(self, done: int, more: int) -> tuple[list[int], int]:
        """Places that nothing unfinished precedes, and the earliest return among them."""
        horizon, ready, call, until = NEVER, [], self.call, self.until
        place, count = done, len(call)
        while place < count and call[place] <= horizon:
            if not more & 1:
                ready.append(place)
                if until[place] < horizon:
                    horizon = until[place]
            more >>= 1
            place += 1
        return [place for place in ready if call[place] <= horizon], horizon

    def _legal(self, at: int, state: int) -> bool:
        kind = self.register.kind[at]
        if kind == GET:
            return self.register.value[at] == state
        if kind == CAS:
            return self.register.expected[at] == state
        return kind != CAS_MISSED or self.register.expected[at] != state

    def _after(self, at: int, state: int) -> int:
        value = self.register.value[at]
        if self.register.kind[at] == APPEND:
            if self.join is None:
                raise ValueError("a history with appends needs to be told how values are joined")
            return self.join(state, value)
        return ABSENT if self.register.kind[at] == DELETE else value

    def _next(self, configuration: Configuration, ready: list[int], horizon: int) -> list[Configuration]:
        """Configurations one state-changing operation further, the earliest call last (to be tried first)."""
        done, more, taken, state = configuration
        found: list[Configuration] = []
        for place in ready:
            at = self.must[place]
            if self.passive[place] or not self._legal(at, state):
                continue
            after, mask = self._after(at, state), more | 1 << (place - done)
            if after == state or not self._strands(state, done, mask, taken):
                new_done, new_more = _advance(done, mask)
                found.append((new_done, new_more, taken, after))
        for bit, at in enumerate(self.may):
            if self.register.call[at] > horizon:
                break
            if taken >> bit & 1 or not self._legal(at, state):
                continue
            after, now_taken = self._after(at, state), taken | 1 << bit
            if after != state and not self._strands(state, done, more, now_taken):
                found.append((done, more, now_taken, after))
        found.reverse()
        return found

    def _strands(self, value: int, done: int, more: int, taken: int) -> bool:
        """Would leaving `value` strand an operation that has to see it, because nothing is left that writes
        it?
        """
        if not self.state_is_written or not _some_open(self.needs.get(value), done, more):
            return False
        if _some_open(self.writes.get(value), done, more):
            return False
        values = self.register.value
        return not any(values[at] == value and not taken >> bit & 1 for bit, at in enumerate(self.may))


def _advance(done: int, more: int) -> tuple[int, int]:
    """Move the done prefix over the operations that directly follow it and are done too."""
    steps = (~more & (more + 1)).bit_length() - 1
    return done + steps, more >> steps


def _some_open(places: list[int] | None, done: int, more: int) -> bool:
    """Is one of these places not done?"""
    if not places or places[-1] < done:
        return False
    for place in reversed(places):
        if place < done:
            return False
        if not more >> (place - done) & 1:
            return True
    return False
