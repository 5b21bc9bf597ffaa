"""No check passes on nothing: every registered one is given a run in which nothing happened that it
is about.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kvsim.checks import registry
from kvsim.checks.consistency.case import CheckOptions
from kvsim.checks.consistency.check import CHECKS, check
from kvsim.checks.consistency.guarantees import GUARANTEES
from kvsim.checks.consistency.report import GuaranteeStatus, Report
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FinalRead, History, RoleSample
from kvsim.history.operations import Operations
from tests.checks.run_record.run_builder import RunBuilder

MS = 1_000_000
ALL_TERMS = CheckOptions(staleness_ns=MS, recover_within_ns=MS, available=True)
STRONGEST = {
    "writes": "durable_at_all",
    "leader_reads": "linearizable",
    "follower_reads": "linearizable",
}
WORDS = [
    {**STRONGEST, guarantee: word} for guarantee, words in GUARANTEES.items() for word in words
]


def made(*rows: tuple, **fields) -> History:
    """Rows (call, return, process, kind, value, node, outcome) in milliseconds, on key k."""
    operations = Operations()
    for call, back, process, kind, value, node, outcome in rows:
        operations.add(call * MS, back * MS, process, "k", kind, value, node=node, outcome=outcome)
    return History(operations, **fields)


def samples(*roles: tuple[str, str]) -> tuple[RoleSample, ...]:
    return tuple(RoleSample(at * MS, node, role, 1) for at in (0, 100) for node, role in roles)


PAIR = samples(("n1", "leader"), ("n2", "follower"))
EMPTY = made()
REFUSED = made(
    *((at, at + 1, at, "put", f"v{at}", "n2", "refused") for at in range(1, 9, 2)), samples=PAIR
)
ONLY_READS = made(
    *(
        (at, at + 1, at % 3, "get", None, node, "ok")
        for at in range(1, 20, 2)
        for node in ("n1", "n2")
    ),
    samples=PAIR,
    finals=(FinalRead("n1", "k", None), FinalRead("n2", "k", None)),
)
ONLY_WRITES = made(
    *((at, at + 1, at, "put", f"v{at}", "n1", "ok") for at in range(1, 9, 2)), samples=PAIR
)
ALONE = made(samples=samples(("n1", "leader")))
LOG = (("k", "a"), ("k", "b"))

# what happened → the checks that it is about all the same: all others must not pass
HISTORIES: dict[str, tuple[History, frozenset[str]]] = {
    "nothing": (EMPTY, frozenset()),
    "nothing, with a log": (made(leader_log=()), frozenset()),
    "one node, which is not asked": (ALONE, frozenset()),
    "only refusals": (REFUSED, frozenset({"one_leader_per_term"})),
    "only reads of what was not written": (
        ONLY_READS,
        frozenset({"one_leader_per_term", "available"}),
    ),
    "only reads of what was not written, with a log": (
        History(
            ONLY_READS.operations, samples=PAIR, finals=ONLY_READS.finals, leader_log=(("x", "a"),)
        ),
        frozenset({"one_leader_per_term", "available"}),
    ),
    "only writes": (
        ONLY_WRITES,
        frozenset({"one_leader_per_term", "available", "writes_only_at_leader"}),
    ),
    "only writes, with a log": (
        made(
            (1, 2, 1, "put", "a", "n1", "ok"),
            (3, 4, 2, "put", "b", "n1", "ok"),
            samples=PAIR,
            leader_log=LOG,
        ),
        frozenset({"one_leader_per_term", "available", "writes_only_at_leader", "lost_writes"}),
    ),
}


def passing(report: Report) -> set[str]:
    return {one.name for one in report.checks if one.verdict is Verdict.PASS}


@pytest.mark.parametrize("what", HISTORIES)
def test_no_check_of_histories_passes_on_what_it_is_not_about(what: str) -> None:
    history, about = HISTORIES[what]
    for words in WORDS:
        report = check(history, words, ALL_TERMS)
        assert passing(report) <= about, what
        assert len(report.checks) == len(CHECKS)
        for one in report.guarantees:
            judges = set(GUARANTEES[one.guarantee][one.level].checks)
            assert one.status is not GuaranteeStatus.KEPT or judges & about, (one, what)


@pytest.mark.parametrize("what", ["nothing", "nothing, with a log", "one node, which is not asked"])
def test_a_report_on_nothing_is_invalid(what: str) -> None:
    assert check(HISTORIES[what][0], STRONGEST).verdict is Verdict.INVALID


def test_one_read_of_a_node_and_one_write_of_a_client_say_nothing_of_walking_forward() -> None:
    one_each = made(
        (1, 2, 1, "put", "a", "n1", "ok"), (3, 4, 2, "get", "a", "n2", "ok"), samples=PAIR
    )
    for history in (one_each, History(one_each.operations, samples=PAIR, leader_log=(("k", "a"),))):
        report = check(history, {**STRONGEST, "follower_reads": "sequential"}, ALL_TERMS)
        walking = {"prefix", "read_your_writes", "monotonic_reads", "monotonic_writes"}
        walking |= {"writes_follow_reads", "sequential"}
        assert not passing(report) & walking


# Checks of a run's record.

# What a run shows in which nodes start, report their roles and are stopped, and nothing else.
IDLE_IS_ABOUT = {
    "nodes_start",
    "nodes_stay_up",
    "log_is_prompt",
    "logs_hold_no_alarm",
    "logs_name_roles",
    "one_leader",
}


def verdicts(run: RunBuilder, required: tuple[str, ...] = ()) -> Mapping[str, Verdict | None]:
    return {one.name: one.verdict for one in registry.apply(run.record(), required)}


def test_no_check_of_a_record_passes_on_an_empty_run() -> None:
    found = verdicts(RunBuilder())
    assert set(found) == set(registry.CHECKS)
    assert {name for name, verdict in found.items() if verdict is Verdict.PASS} == set()


@pytest.mark.parametrize("name", registry.CHECKS)
def test_a_check_that_is_asked_for_and_saw_nothing_makes_the_run_invalid(name: str) -> None:
    assert verdicts(RunBuilder(), (name,))[name] in (Verdict.INVALID, Verdict.FAIL)


def test_an_idle_run_is_about_starting_and_nothing_else() -> None:
    passed = {
        name for name, verdict in verdicts(RunBuilder().up()).items() if verdict is Verdict.PASS
    }
    assert passed <= IDLE_IS_ABOUT


def test_a_step_that_only_waits_meets_no_expectation() -> None:
    run = RunBuilder().up().add("step", id="1.1", group="g", verb="sleep", line=1, text="sleep: 1s")
    run.add("step_end", id="1.1", result="pass", why="")
    assert verdicts(run)["expectations"] is None
