"""Histories for tests: every small one, random ones, and simulated clients of a real register."""

from __future__ import annotations

import heapq
import itertools
import random
from array import array
from collections.abc import Iterator, Sequence

from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import (
    ABSENT,
    CAS,
    CAS_MISSED,
    DELETE,
    GET,
    NEVER,
    NOWHERE,
    OK,
    PUT,
    UNKNOWN,
    Operations,
    StringTable,
)

# Name → kind, unknown?, what it reads or expects (None: absent; n: the n-th written value).
SHAPES = {
    "put": (PUT, False, None),
    "put?": (PUT, True, None),
    "cas absent": (CAS, False, None),
    "cas absent?": (CAS, True, None),
    "cas": (CAS, False, 1),
    "delete": (DELETE, False, None),
    "delete?": (DELETE, True, None),
    "get absent": (GET, False, None),
    "get 1": (GET, False, 1),
    "get 2": (GET, False, 2),
    "miss": (CAS_MISSED, False, 1),
}
INITIAL = 1000


def interleavings(count: int) -> Iterator[list[list[int]]]:
    """Every way in which `count` intervals with distinct ends can lie, numbered by their calls."""

    def grow(
        opened: int, waiting: frozenset[int], so_far: list[tuple[int, int]]
    ) -> Iterator[list[list[int]]]:
        if opened == count and not waiting:
            spans = [[0, 0] for _ in range(count)]
            for time, (end, which) in enumerate(so_far):
                spans[which][end] = time
            yield spans
            return
        if opened < count:
            yield from grow(opened + 1, waiting | {opened}, [*so_far, (0, opened)])
        for which in sorted(waiting):
            yield from grow(opened, waiting - {which}, [*so_far, (1, which)])

    yield from grow(0, frozenset(), [])


def every_register(count: int, shapes: Sequence[str]) -> Iterator[Register]:
    """All histories of `count` operations of these shapes, each starting absent and starting with a
    value.
    """
    spans = list(interleavings(count))
    for names in itertools.product(shapes, repeat=count):
        writes = sum(SHAPES[name][0] in (PUT, CAS) for name in names)
        if any(
            name.startswith("get ") and name[4:].isdigit() and int(name[4:]) > writes
            for name in names
        ):
            continue
        for span in spans:
            for initial in (ABSENT, INITIAL):
                yield _shaped(names, span, initial)


def _shaped(names: Sequence[str], span: list[list[int]], initial: int) -> Register:
    register, written = Register(initial=initial), 0
    for index, (name, (call, until)) in enumerate(zip(names, span, strict=True)):
        kind, unknown, other = SHAPES[name]
        value, expected = ABSENT, ABSENT
        if kind in (PUT, CAS):
            written += 1
            value = written
        if kind == GET:
            value = other or ABSENT
        if kind in (CAS, CAS_MISSED) and other:
            expected = other if written != other or kind == CAS_MISSED else other + 1
        register.add(call, NEVER if unknown else until, kind, value, expected, index)
    return register


def random_register(
    rng: random.Random, size: int, kinds: Sequence[int], *, ties: bool = True
) -> Register:
    """Operations at random times with random results, mostly of values that exist."""
    register = Register(initial=rng.choice([ABSENT, ABSENT, INITIAL]))
    horizon = size * (2 if ties else 1000)
    values = [ABSENT, register.initial]
    for index in range(size):
        call = rng.randrange(horizon)
        until = call + rng.randrange(1 + horizon // rng.choice([2, 4, 8]))
        kind = rng.choice(kinds)
        value = expected = ABSENT
        if kind in (PUT, CAS):
            value = index + 1
            values.append(value)
        if kind in (CAS, CAS_MISSED):
            expected = rng.choice(values)
        if kind == GET:
            value = rng.choice(values) if rng.random() < 0.8 else rng.randrange(size + 1)
        unknown = kind in (PUT, CAS, DELETE) and rng.random() < 0.2
        register.add(call, NEVER if unknown else until, kind, value, expected, index)
    return register


def true_register(
    rng: random.Random,
    size: int,
    clients: int,
    mix: dict[int, float],
    *,
    unknown: float = 0.0,
    ties: bool = False,
) -> Register:
    """`clients` closed-loop clients of a real register: linearizable by construction.

    An unknown operation takes effect at some time after its call, perhaps long after the client
    gave up, or never.
    """
    waiting = [(rng.random(), client) for client in range(clients)]
    heapq.heapify(waiting)
    planned = []
    for _ in range(size):
        call, client = heapq.heappop(waiting)
        took = 0.05 + rng.expovariate(1.0)
        kind = rng.choices(list(mix), list(mix.values()))[0]
        lost = kind not in (GET, CAS_MISSED) and rng.random() < unknown
        effect: float | None = call + rng.random() * took
        if lost:
            effect = None if rng.random() < 0.4 else call + rng.expovariate(0.3)
        planned.append((effect, call, call + took, kind, lost))
        heapq.heappush(waiting, (call + took + 1e-6, client))
    return _play(planned, 2.0 if ties else 1e6, rng)


def _play(planned: list, scale: float, rng: random.Random) -> Register:
    """Carry the plan out on a register, in the order in which the effects happen."""
    happened = sorted((plan for plan in planned if plan[0] is not None), key=lambda plan: plan[0])
    never = [plan for plan in planned if plan[0] is None]
    rows, state, written = [], ABSENT, 0
    for effect, call, until, kind, lost in happened + never:
        value = expected = ABSENT
        if kind in (PUT, CAS):
            written += 1
            value, expected = written, state if kind == CAS else ABSENT
        if kind == GET:
            value = state
        if kind == CAS_MISSED:
            expected = rng.randrange(written + 2)
            if expected == state:
                expected = written + 1
        rows.append(
            (int(call * scale), NEVER if lost else int(until * scale), kind, value, expected)
        )
        if effect is not None and kind in (PUT, CAS, DELETE):
            state = value
    rows.sort()
    register = Register()
    for index, row in enumerate(rows):
        register.add(*row, index)
    return register


def disturbed(rng: random.Random, register: Register) -> Register:
    """`register` with one read changed to another value that was read or written: often no longer
    linearizable.
    """
    reads = [at for at, kind in enumerate(register.kind) if kind == GET]
    copy = register.subset(range(len(register)))
    if reads:
        copy.value[rng.choice(reads)] = rng.choice([*register.value, ABSENT])
    return copy


MIXES: list[list[int]] = [
    [PUT, GET],
    [PUT, GET, DELETE],
    [PUT, GET, CAS],
    [PUT, GET, DELETE, CAS],
    [CAS, DELETE, GET],
    [DELETE, DELETE, CAS, CAS, PUT, GET],
]


def operations_of(register: Register) -> Operations:
    """The same history as columns: one key, one process an operation, value numbers kept."""
    count = len(register)
    operations = Operations(
        call_ns=array("q", register.call),
        return_ns=array("q", register.until),
        process=array("q", range(count)),
        node=array("q", [NOWHERE] * count),
        key=array("q", [0] * count),
        kind=array("b", register.kind),
        value=array("q", register.value),
        expected=array("q", register.expected),
        outcome=array("b", [UNKNOWN if until == NEVER else OK for until in register.until]),
        values=StringTable(
            [
                None,
                *(
                    f"v{number}"
                    for number in range(1, max([INITIAL, *register.value, *register.expected]) + 1)
                ),
            ]
        ),
    )
    operations.keys.number("k")
    return operations
