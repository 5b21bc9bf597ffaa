"""Appends: as chains of compare-and-sets where that is exact, else by the search; against brute
force.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.checks.linearizability.append_chains import chain_appends
from kvsim.checks.linearizability.certificate import replays
from kvsim.checks.linearizability.decide import decide_key
from kvsim.checks.linearizability.decision import Decision, ViolationReason
from kvsim.checks.linearizability.effects import Join
from kvsim.checks.linearizability.register import register_of
from kvsim.checks.linearizability.search import search
from kvsim.history.operations import CAS, Operations
from tests.checks.linearizability.oracles import linearizable

# Call, duration, kind, value, expected, unknown?
Drawn = tuple[int, int, str, str, str | None, bool]
STRINGS = st.sampled_from(["a", "b", "ab", "aa"])
OPERATION = st.tuples(
    st.integers(0, 9),
    st.integers(0, 6),
    st.sampled_from(["append", "append", "put", "get", "get", "delete", "cas", "cas_missed"]),
    STRINGS,
    st.none() | STRINGS,
    st.booleans(),
)


def history(drawn: list[Drawn]) -> Operations:
    operations = Operations()
    for process, (call, duration, kind, value, expected, unknown) in enumerate(drawn):
        operations.add(
            call,
            call + duration,
            process,
            "k",
            kind,
            # A get reads what is drawn as expected: absent, too.
            expected if kind == "get" else None if kind == "delete" else value,
            expected=expected if kind.startswith("cas") else None,
            outcome="unknown" if unknown and kind not in ("get", "cas_missed") else "ok",
        )
    return operations


def agrees(operations: Operations) -> bool:
    """The decision on the key is the truth, and a "yes" replays. Returns the truth."""
    register, join = register_of(operations), Join(operations.values)
    truth = linearizable(register, join)
    result = decide_key(operations, certify=True)
    assert result.decision.linearizable is truth, list(operations)
    found = search(register, join=join)
    assert found.found is truth, list(operations)
    assert not truth or replays(register, found.order, join)
    assert not truth or result.order is not None
    return truth


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATION, min_size=1, max_size=6))
def test_strings_that_can_be_taken_apart_in_several_ways(drawn: list[Drawn]) -> None:
    agrees(history(drawn))


def played(rng: random.Random, size: int, clients: int, *, kinds: list[str]) -> Operations:
    """Clients of a real register that append strings of their own; one read may be wrong."""
    operations, state = Operations(), ""
    free = [0.0] * clients
    planned = []
    for number in range(size):
        client = min(range(clients), key=free.__getitem__)
        call = free[client]
        back = call + 0.05 + rng.expovariate(1.0)
        free[client] = back + 1e-6
        planned.append((call + rng.random() * (back - call), call, back, client, number))
    rows = []
    states = [None]
    for _, call, back, client, number in sorted(planned):
        kind, value = rng.choice(kinds), f"<{number}>"
        if kind == "get":
            rows.append((call, back, client, kind, state or None))
            continue
        state = {"append": state + value, "put": value, "delete": ""}[kind]
        states.append(state or None)
        rows.append((call, back, client, kind, None if kind == "delete" else value))
    if rng.random() < 0.6 and (reads := [at for at, row in enumerate(rows) if row[3] == "get"]):
        at = rng.choice(reads)
        rows[at] = (*rows[at][:4], rng.choice(states))
    for call, back, client, kind, text in sorted(rows):
        operations.add(int(call * 1e6), int(back * 1e6), client, "k", kind, text)
    return operations


def test_strings_that_are_appended_once_are_a_chain() -> None:
    rng, counts = random.Random(1), Counter[bool]()
    for _ in range(600):
        kinds = rng.choice([["append", "get"], ["append", "get", "put", "delete"]])
        operations = played(rng, rng.randrange(2, 9), rng.randrange(1, 5), kinds=kinds)
        counts[agrees(operations)] += 1
        assert decide_key(operations).method != "search"
    assert min(counts.values()) > 50


def test_many_appends_of_many_clients_take_near_linear_time() -> None:
    operations = played(random.Random(2), 4_000, 50, kinds=["append", "append", "get", "put"])
    began = time.process_time()
    assert decide_key(operations, certify=True).method == "zones"
    assert time.process_time() - began < 2.0


def test_an_append_cannot_be_in_two_places() -> None:
    operations = Operations()
    for value in "xyz":
        operations.add(0, 9, ord(value), "k", "append", value)
    operations.add(10, 11, 0, "k", "get", "xyz")
    assert decide_key(operations).decision.linearizable is True
    operations.add(10, 11, 1, "k", "get", "xzy")
    decision = decide_key(operations).decision
    assert decision.linearizable is False and decision.reason is ViolationReason.APPENDED_TWICE


def test_an_append_that_no_read_shows_is_a_put_that_is_not_read() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "append", "x")
    operations.add(2, 3, 0, "k", "append", "y")
    operations.add(4, 5, 0, "k", "get", "x")
    chained = chain_appends(register_of(operations), Join(operations.values))
    assert not isinstance(chained, Decision) and list(chained.kind).count(CAS) == 1
    assert decide_key(operations).decision.linearizable is False
    operations.call_ns[1] = 0
    operations.add(6, 7, 0, "k", "put", "z")
    assert decide_key(operations).decision.linearizable is False


def test_unknown_appends_do_not_have_to_be_tried_in_every_order() -> None:
    operations = Operations()
    for number in range(30):
        operations.add(number, None, number, "k", "append", f"v{number}", outcome="unknown")
    operations.add(40, 41, 0, "k", "put", "w")
    operations.add(42, 43, 0, "k", "get", "wv3v21")
    began = time.process_time()
    assert decide_key(operations, certify=True).order is not None
    # The same string twice: the search decides.
    operations.add(44, None, 0, "k", "append", "v3", outcome="unknown")
    result = decide_key(operations)
    assert (result.decision.linearizable, result.method) == (True, "search")
    assert time.process_time() - began < 0.5
