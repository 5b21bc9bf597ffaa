"""Minimal contradictory sets: contradictory by the definition, as small as promised, and told in words and
a picture.
"""

from __future__ import annotations

import random
from dataclasses import replace

from kvsim.checks.consistency.answer import Violation
from kvsim.checks.consistency.linear import zones
from kvsim.checks.consistency.linear.core import Core, core_of
from kvsim.checks.consistency.linear.register import Register
from kvsim.checks.consistency.linear.search import search
from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FaultSpan, History, RoleSample
from kvsim.history.operations import ABSENT, GET, PUT, Operations
from tests.checks.consistency.makers import MIXES, disturbed, true_register
from tests.checks.consistency.test_search import few_values


def alone(register: Register, core: Core) -> Register:
    """The operations of a core and nothing else."""
    part = register.subset(core.at)
    return replace(part, initial=ABSENT) if core.starts_absent else part


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


def test_a_core_is_contradictory_all_by_itself() -> None:
    for register in violations(8, 600):
        core = core_of(register, zones.decide(register))
        assert core.minimal
        assert search(alone(register, core)).linearizable is False, (register, core)
        if set(register.kind) <= {PUT, GET}:
            assert len(core.at) <= 6


def test_no_read_of_a_core_is_there_in_vain() -> None:
    for register in violations(9, 200):
        core = core_of(register, zones.decide(register))
        if core.loosened:
            continue
        for at in core.at:
            if register.kind[at] == GET and len(core.at) > 1:
                rest = replace(core, at=tuple(other for other in core.at if other != at))
                assert search(alone(register, rest)).linearizable is not False, (register, core)


def test_a_core_from_the_search_is_contradictory_too() -> None:
    for register in violations(10, 15, folded=4):
        core = core_of(register, search(register))
        assert search(alone(register, core)).linearizable is False, (register, core)


def test_a_core_is_found_in_a_long_history() -> None:
    rng = random.Random(11)
    register = true_register(rng, 4_000, 8, {PUT: 3.0, GET: 5.0})
    writes = [at for at, kind in enumerate(register.kind) if kind == PUT]
    read = next(at for at in range(3_000, 4_000) if register.kind[at] == GET)
    register.value[read] = register.value[writes[100]]
    core = core_of(register, zones.decide(register))
    assert read in core.at and len(core.at) <= 6


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


def test_a_violation_is_told_in_a_sentence_and_a_picture() -> None:
    (finding,) = linearizable(stale_history()).findings
    assert isinstance(finding, Violation)
    assert finding.rows == (0, 1, 2) and finding.key == "k" and finding.node == "n2"
    assert finding.message == (
        "key 'k': stale read: get → 'a' by client 1 at n2 began after put('b') had completed, "
        "and that began after put('a') had completed"
    )
    lines = finding.picture.splitlines()
    assert lines[0].strip().startswith("fault pause n2") and "▒" in lines[0]
    assert "client 2 n1 (leader)" in lines[1] and "client 1 n2 (follower)" in lines[3]
    assert "[4.000 ms..5.000 ms]" in lines[3]


def test_places_in_the_leaders_log_are_shown_where_known() -> None:
    history = replace(stale_history(), leader_log=(("k", "a"), ("other", "c"), ("k", "b")))
    (finding,) = linearizable(history).findings
    assert isinstance(finding, Violation) and finding.positions == (1, 3, None)
    assert finding.picture.splitlines()[2].endswith("log 3")


def test_an_unknown_end_is_drawn_open() -> None:
    operations = Operations()
    operations.add(0, None, 1, "k", "put", "a", outcome="unknown")
    operations.add(5, 6, 2, "k", "get", "a")
    operations.add(8, 9, 2, "k", "get", None)
    (finding,) = linearizable(History(operations)).findings
    assert isinstance(finding, Violation) and ">" in finding.picture and "put('a')?" in finding.picture


def test_the_read_of_a_refused_write_names_the_refusal() -> None:
    operations = Operations()
    operations.add(0, 1, 1, "k", "put", "x", outcome="refused", node="n2")
    operations.add(2, 3, 2, "k", "get", "x", node="n1")
    (finding,) = linearizable(History(operations)).findings
    assert isinstance(finding, Violation) and finding.rows == (0, 1)
    assert "was refused: put('x') (refused) by client 1 at n2" in finding.message


def test_an_undecided_key_is_a_finding_and_no_pass() -> None:
    operations = Operations()
    for number in range(8):
        operations.add(number, 100 + number, number, "k", "put", "ab"[number % 2])
        operations.add(number, 100 + number, 10 + number, "k", "get", "ab"[number % 2])
    from kvsim.checks.consistency.linear.search import Budget

    answer = linearizable(History(operations), budget=Budget(configurations=1))
    assert answer.verdict in (Verdict.UNKNOWN, Verdict.PASS)
    answer = linearizable(History(operations), budget=Budget(configurations=-1))
    assert answer.verdict is Verdict.UNKNOWN and answer.judged == 0 and answer.unjudged
