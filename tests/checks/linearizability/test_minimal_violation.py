"""Minimal contradictory sets: contradictory by the definition, as small as guaranteed, and told in
words and a timeline.
"""

from __future__ import annotations

import random
import time

from msgspec.structs import replace

from kvsim.checks.consistency.ascii_timeline import draw_timeline
from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.consistency.result import Violation
from kvsim.checks.linearizability import zones
from kvsim.checks.linearizability.budget import Budget
from kvsim.checks.linearizability.decide import decide_key
from kvsim.checks.linearizability.decision import ViolationReason, not_linearizable
from kvsim.checks.linearizability.minimal_violation import _Minimizer, find_minimal_violation
from kvsim.checks.linearizability.register import Register, register_of
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FaultSpan, History, RoleSample
from kvsim.history.operations import ABSENT, CAS, CAS_MISSED, GET, NEVER, PUT, Operations
from tests.checks.linearizability.history_builders import (
    MIXES,
    disturbed,
    operations_of,
    true_register,
)
from tests.checks.linearizability.oracles import linearizable as linearizable_by_force
from tests.checks.linearizability.oracles import step
from tests.checks.linearizability.test_search import few_values, hard_register
from tests.checks.linearizability.wing_gong import search


def violations(seed: int, count: int, folded: int = 0) -> list[Register]:
    rng, found = random.Random(seed), []
    while len(found) < count:
        mix = dict.fromkeys(rng.choice(MIXES), 1.0)
        clients, unknown = rng.randrange(1, 6), rng.choice([0, 0.3])
        register = true_register(rng, rng.randrange(2, 40), clients, mix, unknown=unknown)
        register = disturbed(rng, few_values(rng, register, folded) if folded else register)
        if (zones.decide(register).linearizable or search(register).linearizable) is False:
            found.append(register)
    return found


def test_a_minimal_set_is_contradictory_by_itself() -> None:
    for register in violations(8, 250):
        minimal = find_minimal_violation(register, zones.decide(register))
        assert minimal.minimal
        assert search(register.subset(minimal.at)).linearizable is False, (register, minimal)
        if set(register.kind) <= {PUT, GET}:
            assert len(minimal.at) <= 6


def test_a_minimal_set_needs_each_of_its_operations() -> None:
    for register in violations(9, 60):
        minimal = find_minimal_violation(register, zones.decide(register))
        if minimal.relaxed:
            continue
        for at in minimal.at:
            rest = [other for other in range(len(register)) if other != at]
            if register.kind[at] == GET:
                kept = [other for other in minimal.at if other != at]
                assert linearizable_by_force(register.subset(kept)), (register, minimal)
            elif len(rest) < 10:
                relaxed = register.subset(range(len(register)), frozenset([at]))
                part = [n for n in range(len(relaxed)) if n == at or n in minimal.at]
                assert linearizable_by_force(relaxed.subset(part)), (register, minimal)


def test_a_minimal_set_by_the_search_is_contradictory_too() -> None:
    for register in violations(10, 15, folded=4):
        decision = decide_key(operations_of(register), register.initial).decision
        minimal = find_minimal_violation(register, decision)
        assert 0 < len(minimal.at) <= 8
        assert not linearizable_by_force(register.subset(minimal.at)), (register, minimal)


def test_what_is_blocked_observes_and_the_others_have_the_order_that_is_shown() -> None:
    placed = 0
    for register in [*violations(12, 50), *violations(13, 12, folded=3)]:
        decision = decide_key(operations_of(register), register.initial).decision
        minimal = find_minimal_violation(register, decision)
        blocked = minimal.blocked
        assert blocked is not None and blocked in minimal.at
        assert register.kind[blocked] in (GET, CAS, CAS_MISSED)
        if not minimal.states:
            continue
        placed += 1
        kept, state = set(minimal.at), register.initial
        for at in minimal.order:
            legal, state = step(state, register.kind[at], register.value[at], register.expected[at])
            assert legal
        must = {at for at in kept - {blocked} if register.until[at] != NEVER}
        assert minimal.before or must <= set(minimal.order)
        observed = register.expected if register.kind[blocked] == CAS else register.value
        if register.kind[blocked] != CAS_MISSED:
            assert observed[blocked] not in minimal.states, (register, minimal)
    assert placed > 20


def test_a_minimal_set_is_found_in_a_long_history() -> None:
    rng = random.Random(11)
    register = true_register(rng, 4_000, 8, {PUT: 3.0, GET: 5.0})
    writes = [at for at, kind in enumerate(register.kind) if kind == PUT]
    read = next(at for at in range(3_000, 4_000) if register.kind[at] == GET)
    register.value[read] = register.value[writes[100]]
    minimal = find_minimal_violation(register, zones.decide(register))
    assert read in minimal.at and len(minimal.at) <= 6


def stale_history() -> History:
    operations = Operations()
    operations.add(1_000_000, 2_000_000, 2, "k", "put", "a", node="n1")
    operations.add(3_000_000, 4_000_000, 3, "k", "put", "b", node="n1")
    operations.add(5_000_000, 6_000_000, 1, "k", "get", "a", node="n2")
    operations.add(5_000_000, 6_000_000, 4, "other", "put", "c", node="n1")
    return History(
        operations,
        samples=(RoleSample(1, "n1", "leader"), RoleSample(1, "n2", "follower")),
        faults=(FaultSpan("pause", ("n2",), 3_500_000, 5_500_000),),
    )


def test_a_violation_has_a_sentence_and_a_timeline() -> None:
    (finding,) = linearizable(stale_history()).findings
    assert isinstance(finding, Violation)
    assert finding.rows == (0, 1, 2) and finding.key == "k" and finding.node == "n2"
    assert finding.message == (
        "key 'k': stale read: get → 'a' by client 1 at n2 began after put('b') had completed, "
        "and that began after put('a') had completed"
    )
    lines = finding.timeline.splitlines()
    assert lines[0].strip().startswith("fault pause n2") and "▒" in lines[0]
    assert "client 2 n1 (leader)" in lines[1] and "client 1 n2 (follower)" in lines[3]
    assert "[4.000 ms..5.000 ms]" in lines[3]


def test_places_in_the_leaders_log_are_shown_where_known() -> None:
    history = replace(stale_history(), leader_log=(("k", "a"), ("other", "c"), ("k", "b")))
    (finding,) = linearizable(history).findings
    assert isinstance(finding, Violation) and finding.positions == (1, 3, None)
    assert finding.timeline.splitlines()[2].endswith("log 3")


def test_an_unknown_end_is_drawn_open() -> None:
    operations = Operations()
    operations.add(0, None, 1, "k", "put", "a", outcome="unknown")
    operations.add(5, 6, 2, "k", "get", "a")
    operations.add(8, 9, 2, "k", "get", None)
    timeline = draw_timeline(History(operations), [0, 1, 2], blocked=2)
    first, _, last = timeline.splitlines()
    assert ">  put('a')?" in first and last.endswith("← cannot be placed")


def test_the_read_of_a_refused_write_names_the_refusal() -> None:
    operations = Operations()
    operations.add(0, 1, 1, "k", "put", "x", outcome="refused", node="n2")
    operations.add(2, 3, 2, "k", "get", "x", node="n1")
    (finding,) = linearizable(History(operations)).findings
    assert isinstance(finding, Violation) and finding.rows == (0, 1)
    assert "was refused: put('x') (refused) by client 1 at n2" in finding.message


def test_an_explanation_without_time_names_no_operation() -> None:
    """A set that may hold operations that are not needed does not say which of them is wrong."""
    operations = Operations()
    operations.add(0, None, 0, "k", "cas", "b", expected="a", outcome="unknown")
    operations.add(0, 1, 1, "k", "put", "a")
    operations.add(2, 3, 1, "k", "put", "c")
    operations.add(4, 5, 1, "k", "get", "a")
    register, spent = register_of(operations, ABSENT), Budget(seconds=0.0).meter()
    decision = not_linearizable(ViolationReason.NO_ORDER)
    for minimal, blocked in ((False, None), (True, 3)):
        minimizer = _Minimizer(register, decision, None, spent)
        minimizer.minimal = minimal
        found = minimizer.explained([0, 1, 2, 3], spent)
        assert (found.minimal, found.blocked, found.order) == (minimal, blocked, ())


def test_an_undecided_key_is_a_finding_and_no_pass() -> None:
    operations = Operations()
    for number in range(8):
        operations.add(number, 100 + number, number, "k", "put", "ab"[number % 2])
        operations.add(number, 100 + number, 10 + number, "k", "get", "ab"[number % 2])
    result = linearizable(History(operations), budget=Budget(configurations=1))
    assert result.verdict in (Verdict.UNKNOWN, Verdict.PASS)
    result = linearizable(History(operations), budget=Budget(configurations=-1))
    assert result.verdict is Verdict.UNKNOWN and result.judged == 0 and result.unjudged


def test_one_budget_is_for_all_keys_and_their_explanations() -> None:
    operations = Operations()
    for key in range(12):
        part = operations_of(hard_register())
        for row in range(len(part)):
            one = part.operation(row)
            operations.add(one.call_ns, one.return_ns, one.process, f"k{key}", one.kind, one.value)
    began = time.process_time()
    result = linearizable(History(operations), budget=Budget(seconds=0.5))
    assert time.process_time() - began < 2.0
    assert result.judged + sum(left.count for left in result.unjudged) == len(operations)


def test_a_key_that_needs_more_than_its_share_gets_what_the_others_left() -> None:
    operations = Operations()
    for client in range(40):
        operations.add(0, 100, client, "hard", "put", "ab"[client % 2])
        operations.add(0, 100, client + 100, "hard", "get", "ab"[client % 2])
    for key in range(300):
        operations.add(0, 1, 200, f"easy{key}", "put", "a")
        operations.add(2, 3, 200, f"easy{key}", "get", "a")
    result = linearizable(History(operations), budget=Budget(seconds=1.0), use_numpy=False)
    assert result.verdict is Verdict.PASS and result.judged == len(operations)


def message_of(operations: Operations, **initial: str) -> str:
    (finding,) = linearizable(History(operations, initial=initial)).findings
    return finding.message


def test_a_compare_and_set_that_met_a_refused_value_names_the_refusal() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a", outcome="refused")
    operations.add(2, 3, 1, "k", "cas_met", "a", expected="b")
    message = message_of(operations)
    assert "met 'a' by client 1, but the write of that value was refused: put('a')" in message


def test_the_initial_value_is_not_said_to_be_written_by_no_client() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a")
    operations.add(2, 3, 1, "k", "get", "old")
    assert message_of(operations, k="old") == (
        "key 'k': get → 'old' by client 1 cannot be placed: the longest order that works is "
        "put('a'); where it may happen in it, the key holds 'a'"
    )
    operations = Operations()
    operations.add(0, 1, 0, "k", "put", "a")
    operations.add(2, 3, 1, "k", "cas", "b", expected="old")
    assert "client wrote" not in message_of(operations, k="old")


def test_a_value_that_was_written_twice_is_explained_by_a_few_operations() -> None:
    operations = Operations()
    for number in range(40):
        value = "abc"[number % 3]
        operations.add(10 * number, 10 * number + 5, 1, "k", "put", value)
        operations.add(10 * number + 6, 10 * number + 8, 2, "k", "get", value)
    operations.value[41] = operations.values.number("b")
    (finding,) = linearizable(History(operations)).findings
    assert isinstance(finding, Violation) and len(finding.rows) <= 3 and 41 in finding.rows
    assert "get → 'b' by client 2" in finding.message
    assert sum("cannot be placed" in line for line in finding.timeline.splitlines()) == 1


def test_appends_are_not_called_compare_and_sets() -> None:
    operations = Operations()
    operations.add(0, 1, 0, "k", "append", "x")
    operations.add(2, 3, 0, "k", "append", "y")
    operations.add(4, 5, 0, "k", "get", "yx")
    assert message_of(operations) == (
        "key 'k': get → 'yx' by client 0 cannot be placed: the longest order that works is "
        "append('x'), append('y'); where it may happen in it, the key holds 'xy'"
    )
