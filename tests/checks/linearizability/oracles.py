"""Brute force from the definitions: the judges that the checks are held against. Slow, short, and
sharing no code with them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations, permutations

from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MISSED, DELETE, GET, NEVER, PUT

Join = Callable[[int, int], int]


def step(
    state: int, kind: int, value: int, expected: int, join: Join | None = None
) -> tuple[bool, int]:
    """Is the operation legal in `state`, and which state follows?"""
    if kind == APPEND:
        assert join is not None
        return True, join(state, value)
    if kind == GET:
        return state == value, state
    if kind == CAS_MISSED:
        return state != expected, state
    if kind == CAS:
        return state == expected, value
    return True, {PUT: value, DELETE: ABSENT}[kind]


def linearizable(
    register: Register, join: Join | None = None, optional: frozenset[int] = frozenset()
) -> bool:
    """Every next operation that nothing waiting must precede, depth first; unknown ones and the
    `optional` ones may be left out.
    """
    count = len(register)
    call, until = register.call, register.until
    answered = [at for at in range(count) if until[at] != NEVER and at not in optional]

    def extend(state: int, left: frozenset[int]) -> bool:
        if not any(at in left for at in answered):
            return True
        for at in left:
            if any(until[other] < call[at] for other in left if other not in optional):
                continue
            legal, after = step(
                state, register.kind[at], register.value[at], register.expected[at], join
            )
            # What was left out and returned before it cannot happen behind it.
            missed = {other for other in left & optional if until[other] < call[at]}
            if legal and extend(after, left - {at} - missed):
                return True
        return False

    return extend(register.initial, frozenset(range(count)))


def linearizable_by_permutations(register: Register) -> bool:
    """The definition word by word: a subset of the unknown ones, a permutation, real time and
    legality.
    """
    count = len(register)
    must = [at for at in range(count) if register.until[at] != NEVER]
    may = [at for at in range(count) if register.until[at] == NEVER]
    subsets = chain.from_iterable(combinations(may, size) for size in range(len(may) + 1))
    return any(
        _legal(register, order) for extra in subsets for order in permutations([*must, *extra])
    )


def _legal(register: Register, order: tuple[int, ...]) -> bool:
    for place, at in enumerate(order):
        if any(register.until[later] < register.call[at] for later in order[place + 1 :]):
            return False
    state = register.initial
    for at in order:
        legal, state = step(state, register.kind[at], register.value[at], register.expected[at])
        if not legal:
            return False
    return True
