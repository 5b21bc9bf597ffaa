"""Brute force from the definitions: the judges that the checks are held against. Slow, short, and sharing
no code with them.
"""

from __future__ import annotations

from itertools import chain, combinations, permutations

from kvsim.checks.consistency.linear.register import Register
from kvsim.history.operations import ABSENT, CAS, CAS_MISSED, DELETE, GET, NEVER, PUT


def step(state: int, kind: int, value: int, expected: int) -> tuple[bool, int]:
    """Is the operation legal in `state`, and which state follows?"""
    if kind == GET:
        return state == value, state
    if kind == CAS_MISSED:
        return state != expected, state
    if kind == CAS:
        return state == expected, value
    return True, {PUT: value, DELETE: ABSENT}[kind]


def linearizable(register: Register) -> bool:
    """Every next operation that nothing waiting must precede, depth first; unknown ones may be left out."""
    count = len(register)
    call, until = register.call, register.until
    answered = [at for at in range(count) if until[at] != NEVER]

    def extend(state: int, left: frozenset[int]) -> bool:
        if not any(at in left for at in answered):
            return True
        for at in left:
            if any(until[other] < call[at] for other in left):
                continue
            legal, after = step(state, register.kind[at], register.value[at], register.expected[at])
            if legal and extend(after, left - {at}):
                return True
        return False

    return extend(register.initial, frozenset(range(count)))


def linearizable_by_permutations(register: Register) -> bool:
    """The definition word by word: a subset of the unknown ones, a permutation, real time and legality."""
    count = len(register)
    must = [at for at in range(count) if register.until[at] != NEVER]
    may = [at for at in range(count) if register.until[at] == NEVER]
    subsets = chain.from_iterable(combinations(may, size) for size in range(len(may) + 1))
    return any(_legal(register, order) for extra in subsets for order in permutations([*must, *extra]))


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
