"""An independent decider for histories that brute force cannot decide: a plain search for an order.

Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memory of
configurations ("Testing for linearizability", 2017), as other checkers search. It shares no code
with `kvsim.checks.linearizability.search`. Exponential at worst; "undecided" when its budget is
spent.

Positions of the register are called `at`; the operations that must happen are numbered in the
order of their calls, and these numbers are called `index`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from kvsim.checks.linearizability.budget import Budget
from kvsim.checks.linearizability.decision import (
    LINEARIZABLE,
    Decision,
    ViolationReason,
    not_linearizable,
    undecided,
)
from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MISSED, DELETE, GET, NEVER

# The number of the value that appending the second value to the first one gives.
Join = Callable[[int, int], int]
# Done prefix, more done (bits from there), unknown operations taken (bits), state.
Configuration = tuple[int, int, int, int]


def search(register: Register, budget: Budget | None = None, join: Join | None = None) -> Decision:
    """Whether `register` is linearizable; undecided when the budget is spent.

    Raises ValueError for a register with appends without `join`.
    """
    found = _OrderSearch(register, join).run(budget or Budget())
    if found is None:
        return undecided(ViolationReason.BUDGET)
    return LINEARIZABLE if found else not_linearizable(ViolationReason.NO_ORDER)


class _OrderSearch:
    def __init__(self, register: Register, join: Join | None) -> None:
        self.register, self.join = register, join
        by_call = sorted(range(len(register)), key=register.call.__getitem__)
        self.must = [at for at in by_call if register.until[at] != NEVER]
        self.may = [at for at in by_call if register.until[at] == NEVER]
        self.call = [register.call[at] for at in self.must]
        self.until = [register.until[at] for at in self.must]
        self.passive = [self._never_changes_state(at) for at in self.must]
        self.state_is_written = APPEND not in register.kind
        # Value → indexes of `must` that have to find it, and that write it.
        self.needs: dict[int, list[int]] = defaultdict(list)
        self.writes: dict[int, list[int]] = defaultdict(list)
        for index, at in enumerate(self.must):
            self._add(index, at)
        self.may = [at for at in self.may if self._matters(at)]

    def _never_changes_state(self, at: int) -> bool:
        register = self.register
        return register.kind[at] in (GET, CAS_MISSED) or (
            register.kind[at] == CAS and register.expected[at] == register.value[at]
        )

    def _add(self, index: int, at: int) -> None:
        register = self.register
        if register.kind[at] == GET:
            self.needs[register.value[at]].append(index)
        elif register.kind[at] != CAS_MISSED:
            self.writes[register.value[at]].append(index)
            if register.kind[at] == CAS:
                self.needs[register.expected[at]].append(index)

    def _matters(self, at: int) -> bool:
        """Could leaving out this unknown operation make a difference?"""
        register = self.register
        if not self.state_is_written or CAS_MISSED in register.kind:
            return True
        value = register.value[at]
        expecting = (other for other in self.may if register.kind[other] == CAS)
        return bool(self.needs.get(value)) or any(
            register.expected[other] == value for other in expecting
        )

    def run(self, budget: Budget) -> bool | None:
        deadline = time.monotonic() + budget.seconds
        tried: set[Configuration] = set()
        stack: list[Configuration] = [(0, 0, 0, self.register.initial)]
        rounds = 0
        while stack:
            rounds += 1
            if len(tried) > budget.configurations or (
                not rounds & 255 and time.monotonic() > deadline
            ):
                return None
            configuration, ready, horizon = self._take_passive(*stack.pop())
            if configuration[0] >= len(self.must):
                return True
            if configuration not in tried:
                tried.add(configuration)
                stack.extend(self._next(configuration, ready, horizon))
        return False

    def _take_passive(
        self, done: int, more: int, taken: int, state: int
    ) -> tuple[Configuration, list[int], int]:
        """Take all that is legal and changes nothing; then what could be next (see `_ready`)."""
        while True:
            ready, horizon = self._ready(done, more)
            legal = [
                index
                for index in ready
                if self.passive[index] and self._legal(self.must[index], state)
            ]
            if not legal:
                return (done, more, taken, state), ready, horizon
            for index in legal:
                more |= 1 << (index - done)
            done, more = _advance(done, more)

    def _ready(self, done: int, more: int) -> tuple[list[int], int]:
        """Indexes that no unfinished operation precedes, and the earliest return among them."""
        horizon, ready, call, until = NEVER, [], self.call, self.until
        index, count = done, len(call)
        while index < count and call[index] <= horizon:
            if not more & 1:
                ready.append(index)
                if until[index] < horizon:
                    horizon = until[index]
            more >>= 1
            index += 1
        return [index for index in ready if call[index] <= horizon], horizon

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
                raise ValueError("a register with appends cannot be searched without `join`")
            return self.join(state, value)
        return ABSENT if self.register.kind[at] == DELETE else value

    def _next(
        self, configuration: Configuration, ready: list[int], horizon: int
    ) -> list[Configuration]:
        """Configurations one state-changing operation further, in the order of their stack.

        The earliest call is last, to be tried first.
        """
        done, more, taken, state = configuration
        found: list[Configuration] = []
        for index in ready:
            at = self.must[index]
            if self.passive[index] or not self._legal(at, state):
                continue
            after, mask = self._after(at, state), more | 1 << (index - done)
            if after == state or not self._is_needed(state, done, mask, taken):
                new_done, new_more = _advance(done, mask)
                found.append((new_done, new_more, taken, after))
        for bit, at in enumerate(self.may):
            if self.register.call[at] > horizon:
                break
            if taken >> bit & 1 or not self._legal(at, state):
                continue
            after, now_taken = self._after(at, state), taken | 1 << bit
            if after != state and not self._is_needed(state, done, more, now_taken):
                found.append((done, more, now_taken, after))
        found.reverse()
        return found

    def _is_needed(self, value: int, done: int, more: int, taken: int) -> bool:
        """Does an open operation have to find `value`, which none that is left can write again?"""
        if not self.state_is_written or not _some_open(self.needs.get(value), done, more):
            return False
        if _some_open(self.writes.get(value), done, more):
            return False
        values = self.register.value
        return not any(
            values[at] == value and not taken >> bit & 1 for bit, at in enumerate(self.may)
        )


def _advance(done: int, more: int) -> tuple[int, int]:
    """Move the done prefix over the operations that directly follow it and are done too."""
    steps = (~more & (more + 1)).bit_length() - 1
    return done + steps, more >> steps


def _some_open(indexes: list[int] | None, done: int, more: int) -> bool:
    """Is one of these operations not done?"""
    if not indexes or indexes[-1] < done:
        return False
    for index in reversed(indexes):
        if index < done:
            return False
        if not more >> (index - done) & 1:
            return True
    return False
