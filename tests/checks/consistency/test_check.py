"""Guarantees decide what judges and what only measures; the report says how each stands, and what
was not exercised.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvsim.checks.consistency.case import CheckOptions, Minima
from kvsim.checks.consistency.check import CHECKS, check
from kvsim.checks.consistency.guarantees import GUARANTEES, complete_guarantees
from kvsim.checks.consistency.report import GuaranteeStatus, Report, render, to_json
from kvsim.checks.verdict import Verdict
from kvsim.errors import UsageError
from kvsim.history.history import NODE_ENDED, FaultSpan, FaultTraits, FinalRead, History, RoleSample
from kvsim.history.operations import Operations

MS = 1_000_000
SAMPLES = tuple(
    RoleSample(at * MS, node, role, 1)
    for at in (0, 100)
    for node, role in (("n1", "leader"), ("n2", "follower"))
)
STRONG = {"writes": "durable_at_leader", "leader_reads": "linearizable", "follower_reads": "prefix"}


def history(*extra: tuple, **fields) -> History:
    """Two writes and reads at the leader, then `extra` rows (call, return, process, kind, value,
    node) in milliseconds.
    """
    rows = [
        (1, 2, 0, "put", "a", "n1"),
        (3, 4, 0, "put", "b", "n1"),
        (5, 6, 1, "get", "b", "n1"),
        (7, 8, 2, "get", "a", "n2"),
        (5, 6, 2, "get", "a", "n2"),
    ]
    operations = Operations()
    for call, back, process, kind, value, node in [*rows, *extra]:
        operations.add(call * MS, back * MS, process, "k", kind, value, node=node)
    finals = (FinalRead("n1", "k", "b"), FinalRead("n2", "k", "b"))
    return History(operations, **{"samples": SAMPLES, "finals": finals, **fields})


def statuses(report: Report) -> dict[str, GuaranteeStatus]:
    return {one.guarantee: one.status for one in report.guarantees}


def test_kept_guarantees_and_a_stale_follower_that_guaranteed_no_more() -> None:
    report = check(history(), STRONG)
    assert report.verdict is Verdict.PASS
    assert set(statuses(report).values()) == {GuaranteeStatus.KEPT}
    assert report.result_of("prefix").judged == 1 and report.result_of("linearizable").judged == 3
    assert report.result_of("staleness").measures_only


def test_the_same_history_breaks_a_stronger_guarantee() -> None:
    report = check(history(), {**STRONG, "follower_reads": "linearizable"})
    assert report.verdict is Verdict.FAIL
    assert statuses(report)["follower_reads"] is GuaranteeStatus.BROKEN
    assert statuses(report)["writes"] is GuaranteeStatus.KEPT


BROKEN = [
    ("leader_reads", "linearizable", history((9, 10, 3, "get", "a", "n1"))),
    (
        "follower_reads",
        "prefix",
        history((9, 10, 3, "get", "b", "n2"), (11, 12, 3, "get", "a", "n2")),
    ),
    ("writes", "lost_writes", history((9, 10, 3, "put", "c", "n1"))),
]


@pytest.mark.parametrize(("guarantee", "name", "broken"), BROKEN)
def test_each_guarantee_is_broken_by_its_own_check(
    guarantee: str, name: str, broken: History
) -> None:
    report = check(broken, STRONG)
    failed = {one.name for one in report.checks if one.verdict is Verdict.FAIL}
    assert report.verdict is Verdict.FAIL and name in failed
    assert statuses(report)[guarantee] is GuaranteeStatus.BROKEN


def test_a_write_at_a_follower_fails_under_all_guarantees() -> None:
    accepted = history((9, 10, 3, "put", "b2", "n2"), finals=())
    assert check(accepted, {}).result_of("writes_only_at_leader").verdict is Verdict.FAIL
    forwarding = check(accepted, {}, CheckOptions(followers_forward=True))
    assert forwarding.result_of("writes_only_at_leader").verdict is None


def test_what_a_guarantee_does_not_cover_is_told_and_not_failed() -> None:
    killed = FaultSpan("kill", ("n1",), 8 * MS, 9 * MS, NODE_ENDED)
    lost = history((9, 10, 3, "put", "c", "n1"), faults=(killed,))
    report = check(lost, {"writes": "acked_by_leader", "leader_reads": "linearizable"})
    assert report.verdict is Verdict.PASS
    assert (
        report.result_of("lost_writes").found == 1 and report.result_of("lost_writes").measures_only
    )
    assert statuses(report)["writes"] is GuaranteeStatus.NOT_GUARANTEED
    assert check(lost, STRONG).verdict is Verdict.FAIL  # a restart is covered


def test_where_the_last_writes_may_be_lost_only_older_ones_are_judged() -> None:
    traits = FaultTraits(ends_nodes="always", cuts_power=True)
    cut = FaultSpan("power_cut", ("n1",), 12 * MS, 13 * MS, traits)
    lost = history((9, 10, 3, "put", "c", "n1"), faults=(cut,))
    loses = {
        name: check(lost, STRONG, CheckOptions(survives_power=True, power_loses_ns=loses))
        for name, loses in {"nothing": 0, "little": MS, "much": 5 * MS}.items()
    }
    assert check(lost, STRONG).verdict is Verdict.PASS
    assert loses["nothing"].result_of("lost_writes").verdict is Verdict.FAIL
    assert loses["little"].result_of("lost_writes").verdict is Verdict.FAIL
    assert loses["much"].result_of("lost_writes").verdict is Verdict.PASS
    assert not loses["nothing"].result_of("linearizable").measures_only
    assert loses["little"].result_of("linearizable").measures_only


def test_a_majority_that_dies_at_once_is_more_than_a_majority_write_covers() -> None:
    words = {"writes": "durable_at_majority"}
    both = tuple(FaultSpan("kill", (node,), 8 * MS, 9 * MS, NODE_ENDED) for node in ("n1", "n2"))
    lost = history((9, 10, 3, "put", "c", "n1"), faults=both)
    assert statuses(check(lost, words))["writes"] is GuaranteeStatus.NOT_GUARANTEED
    assert check(lost, {"writes": "durable_at_all"}).verdict is Verdict.FAIL


def test_nothing_tested_is_invalid_and_said() -> None:
    report = check(History(Operations()), STRONG)
    assert report.verdict is Verdict.INVALID
    assert set(statuses(report).values()) == {GuaranteeStatus.NOT_EXERCISED}


def test_minima_make_a_run_invalid_but_never_hide_a_violation() -> None:
    options = CheckOptions(minima=Minima(reads_of_writes=50))
    assert check(history(), STRONG, options).verdict is Verdict.INVALID
    assert check(BROKEN[0][2], STRONG, options).verdict is Verdict.FAIL


def test_options_turn_measures_into_judges() -> None:
    assert check(history(), STRONG, CheckOptions(staleness_ns=MS)).verdict is Verdict.FAIL
    assert check(history(), STRONG, CheckOptions(staleness_ns=10 * MS)).verdict is Verdict.PASS
    assert (
        check(history(), STRONG, CheckOptions(available=True)).result_of("available").verdict
        is Verdict.PASS
    )


def test_a_pass_is_proved_by_a_replayed_order_unless_told_otherwise() -> None:
    proved = "keys proved by a replayed order"
    assert check(history(), STRONG).result_of("linearizable").measured[proved] == 1
    assert (
        proved
        not in check(history(), STRONG, CheckOptions(certify=False))
        .result_of("linearizable")
        .measured
    )


def test_with_a_log_the_order_is_the_logs() -> None:
    report = check(history(leader_log=(("k", "b"), ("k", "a"))), STRONG)
    assert report.result_of("converged").verdict is Verdict.FAIL
    assert report.result_of("prefix").verdict is Verdict.PASS


def test_a_history_without_nodes_is_one_register() -> None:
    operations = Operations()
    operations.add(1, 2, 0, "k", "put", "a")
    operations.add(3, 4, 0, "k", "get", "a")
    report = check(History(operations), {"leader_reads": "linearizable"})
    assert report.verdict is Verdict.PASS and report.result_of("linearizable").judged == 2


def test_reads_of_several_nodes_without_roles_are_not_the_leaders() -> None:
    report = check(history(samples=()), STRONG)
    assert report.verdict is Verdict.PASS
    assert (
        report.result_of("linearizable").judged == 0
    )  # there are the writes, and nobody who looked
    assert report.result_of("prefix").judged == 1  # the second read of n2


def test_one_node_without_roles_is_the_store() -> None:
    operations = Operations()
    operations.add(1, 2, 0, "k", "put", "a", node="n1")
    operations.add(3, 4, 0, "k", "get", None, node="n1")
    assert check(History(operations), {"leader_reads": "linearizable"}).verdict is Verdict.FAIL


def test_the_page_on_consistency_knows_every_word_and_check() -> None:
    page = (Path(__file__).parents[3] / "docs" / "consistency.md").read_text()
    words = {word for words in GUARANTEES.values() for word in words}
    assert [name for name in sorted(words | set(CHECKS)) if f"`{name}`" not in page] == []


def test_words_that_are_not_in_the_vocabulary_are_refused() -> None:
    with pytest.raises(
        UsageError, match="there is no 'reads'; guarantees are writes, leader_reads, follower_reads"
    ):
        complete_guarantees({"reads": "none"})
    with pytest.raises(
        UsageError, match="leader_reads cannot be 'fast'; it is one of linearizable, sequential"
    ):
        check(history(), {"leader_reads": "fast"})


def test_the_vocabulary_names_only_checks_that_exist() -> None:
    named = {
        name for words in GUARANTEES.values() for word in words.values() for name in word.checks
    }
    assert named <= set(CHECKS)


def test_the_report_as_text_and_as_data() -> None:
    report = check(BROKEN[0][2], STRONG)
    text = render(report)
    assert text.startswith("fail: 6 operations judged\n")
    assert "BROKEN         leader_reads: linearizable  (see linearizable)" in text
    assert "  key 'k': stale read: get → 'a' by client 3 at n1" in text
    assert "client 3 n1 (leader)" in text
    assert text.splitlines()[-1] == "not exercised read_your_writes, writes_follow_reads, recovers"
    data = json.loads(json.dumps(to_json(report)))
    (finding,) = next(one for one in data["checks"] if one["name"] == "linearizable")["findings"]
    assert finding["operations"] == [0, 1, 5] and data["verdict"] == "fail"
