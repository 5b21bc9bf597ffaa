"""Checks by who could vote and by who acknowledged: what they find, whom they must not accuse."""

from __future__ import annotations

from kvsim.checks.run_record.data import acknowledged_writes_are_read, acknowledged_writes_survive
from kvsim.checks.run_record.election_majorities import (
    acknowledgements_name_one_leader_per_term,
    leaders_have_a_majority,
)
from kvsim.checks.run_record.elections import entries_are_not_of_later_terms, leader_completeness
from kvsim.history.outcome import Outcome, OutcomeKind
from tests.checks.run_record.run_builder import RunBuilder

PLAN = {"capabilities": ["elects", "atomic_status"]}
OK = Outcome(OutcomeKind.OK)
FOLLOWERS = dict.fromkeys(("n1", "n2", "n3"), "follower")


def up(**plan) -> RunBuilder:
    return RunBuilder(**{**PLAN, **plan}).up(roles=FOLLOWERS)


def status(run: RunBuilder, node: str, role: str = "follower", **fields: str) -> RunBuilder:
    return run.add(
        "role", step="1.1", node=node, role=role, how="reports", leader=None, fields=fields
    )


def ended(run: RunBuilder, node: str) -> RunBuilder:
    return run.add("exit", node=node, incarnation=1)


def respawned(run: RunBuilder, node: str) -> RunBuilder:
    return run.add("spawn", node=node, incarnation=2, pid=101, start_ticks=2, attached=False)


def found(check, run: RunBuilder) -> list[str]:
    return [finding.message for finding in check.judge(run.record())[1]]


# --- majorities -------------------------------------------------------------------------------


def test_a_leader_that_begins_while_a_majority_is_down_is_found():
    run = up()
    ended(run, "n2")
    ended(run, "n3")
    status(run, "n1", term="3")
    status(run, "n1", "leader", term="4")
    (message,) = found(leaders_have_a_majority, run)
    assert "n2, n3 could not vote between: 1 of 3 is no majority" in message


def test_a_leader_with_one_of_three_down_is_judged_and_no_finding():
    run = ended(up(), "n2")
    status(run, "n1", term="3")
    status(run, "n1", "leader", term="4")
    assert leaders_have_a_majority.judge(run.record()) == (1, [])


def test_a_node_that_was_up_for_a_moment_between_may_have_voted():
    run = up()
    ended(run, "n2")
    ended(run, "n3")
    status(run, "n1", term="3")
    respawned(run, "n3")
    status(run, "n1", "leader", term="4")
    assert found(leaders_have_a_majority, run) == []


def test_a_leader_of_an_old_term_is_not_judged_when_the_others_go_down():
    run = up()
    status(run, "n1", "leader", term="4")
    ended(run, "n2")
    ended(run, "n3")
    status(run, "n1", "leader", term="4")
    assert leaders_have_a_majority.judge(run.record()) == (0, [])


def test_the_members_are_those_of_the_status():
    run = up()
    for node in FOLLOWERS:
        status(run, node, term="3", members='["n1", "n2"]')
    ended(run, "n2")
    status(run, "n1", term="3", members='["n1", "n2"]')
    status(run, "n1", "leader", term="4", members='["n1", "n2"]')
    assert "1 of 2 is no majority" in found(leaders_have_a_majority, run)[0]


# --- acknowledged writes ----------------------------------------------------------------------


def test_two_nodes_that_acknowledge_in_one_term_are_found_whatever_their_roles():
    run = up()
    for node in ("n1", "n2"):
        status(run, node, term="3")
        run.request(node, "put", OK, value="v")
        status(run, node, term="3")
    (message,) = found(acknowledgements_name_one_leader_per_term, run)
    assert "both were in term 3" in message


def test_a_node_whose_term_rose_around_its_write_is_not_judged():
    run = up()
    status(run, "n1", term="3")
    run.request("n1", "put", OK, value="v")
    status(run, "n1", term="4")
    assert acknowledgements_name_one_leader_per_term.judge(run.record()) == (0, [])


def test_a_program_that_forwards_is_not_judged():
    run = up(capabilities=["elects", "forwards"])
    for node in ("n1", "n2"):
        status(run, node, term="3")
        run.request(node, "put", OK, value="v")
        status(run, node, term="3")
    assert acknowledgements_name_one_leader_per_term.judge(run.record()) == (0, [])


# --- reads at leaders that may have stepped down ------------------------------------------------


def deposed(role_after: str) -> RunBuilder:
    """n2 acknowledges a new value; n1, which led before, shows the older one."""
    run = up()
    status(run, "n1", "leader", term="3")
    run.request("n1", "put", OK, value="old")
    status(run, "n2", "leader", term="4")
    run.request("n2", "put", OK, value="new")
    run.request("n1", "get", Outcome(OutcomeKind.OK, value="old"))
    return status(run, "n1", role_after, term="3" if role_after == "leader" else "4")


def test_a_leader_that_shows_what_is_out_of_date_is_found():
    assert "later n1 showed value 'old'" in found(acknowledged_writes_survive, deposed("leader"))[0]


def test_a_leader_that_had_stepped_down_before_it_was_asked_again_is_not_accused():
    run = deposed("follower")
    assert found(acknowledged_writes_survive, run) == []
    assert found(acknowledged_writes_are_read, run) == []


def test_a_write_counts_at_a_node_that_was_elected_since_it_was_asked():
    run = up()
    status(run, "n1", "leader", term="3")
    run.request("n1", "put", OK, value="old")
    # elected meanwhile
    run.request("n2", "put", OK, value="new")
    status(run, "n3", "leader", term="5")
    run.request("n3", "get", Outcome(OutcomeKind.OK, value="old"))
    status(run, "n3", "leader", term="5")
    assert "later n3 showed value 'old'" in found(acknowledged_writes_survive, run)[0]


# --- terms of entries -------------------------------------------------------------------------


def test_an_entry_of_a_later_term_than_the_nodes_own_is_found():
    run = status(up(), "n2", term="3", last_term="4", last_index="7", commit="7")
    (message,) = found(entries_are_not_of_later_terms, run)
    assert message.endswith("is in term 3, and its log ends with an entry of term 4")


def test_what_such_a_node_reports_as_committed_is_not_of_its_term():
    run = up()
    status(run, "n1", "leader", term="4", last_term="4", last_index="5", commit="5")
    status(run, "n2", term="3", last_term="4", last_index="7", commit="7")
    assert found(leader_completeness, run) == []
