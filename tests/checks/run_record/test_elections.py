"""The checks of elections, on records made in memory: what they find, and what they must not."""

from __future__ import annotations

import random

import pytest

from kvsim.checks.run_record.elections import (
    commit_index_rises,
    leader_completeness,
    log_matching,
    logs_name_one_leader_per_term,
    one_vote_per_term,
    state_machine_safety,
)
from kvsim.checks.run_record.leadership import terms_only_rise
from kvsim.history.history import FaultTraits
from kvsim.structs import to_dict
from tests.checks.run_record.raft_model import RaftModel
from tests.checks.run_record.run_builder import RunBuilder

LOGS = {
    "term": [r"^term (?P<term>\d+): was"],
    "vote": [r"^vote in term (?P<term>\d+): for (?P<candidate>\S+)"],
    "candidate": [r"^now CANDIDATE for term (?P<term>\d+)"],
    "leader": [r"^now LEADER of term (?P<term>\d+)"],
}
ELECTS = {
    "capabilities": ["elects", "atomic_status"],
    "elections": {
        "timeout_s": 0.5,
        "serves_within_s": None,
        "logs": LOGS,
        "on_disk": ["vote", "term"],
    },
}
CHECKS = (
    commit_index_rises,
    leader_completeness,
    log_matching,
    logs_name_one_leader_per_term,
    one_vote_per_term,
    state_machine_safety,
    terms_only_rise,
)


def elects(**changes) -> dict:
    return {**ELECTS, "elections": {**ELECTS["elections"], **changes}}


def started(log: dict[str, str], plan: dict = ELECTS) -> RunBuilder:
    """Three nodes with these logs; the others logged nothing."""
    run = RunBuilder(**plan).up()
    for node in ("n1", "n2", "n3"):
        run.logs[node, 1] = log.get(node, "")
    return run


def restart(run: RunBuilder, node: str, log: str) -> RunBuilder:
    run.logs[node, 2] = log
    return run.add("spawn", node=node, incarnation=2, pid=101, start_ticks=2, attached=False)


def status(run: RunBuilder, node: str, role: str | None = "follower", **fields: str) -> RunBuilder:
    how = "reports" if role in ("leader", "follower") else "reports no role"
    return run.add("role", step="1.1", node=node, role=role, how=how, leader=None, fields=fields)


def found(check, run: RunBuilder) -> list[str]:
    return [finding.message for finding in check.judge(run.record())[1]]


# --- by lines of logs -------------------------------------------------------------------------


def test_two_nodes_that_log_that_they_lead_one_term_are_found_with_their_lines():
    run = started(
        {"n1": "hello\nnow LEADER of term 4 at index 7\n", "n3": "now LEADER of term 4\n"}
    )
    (message,) = found(logs_name_one_leader_per_term, run)
    assert message == (
        "n1 and n3 both logged that they lead term 4\n"
        "n1: `now LEADER of term 4 at index 7` (nodes/n1/1.log:2)\n"
        "n3: `now LEADER of term 4` (nodes/n3/1.log:1)"
    )


def test_leaders_of_different_terms_are_judged_and_no_finding():
    run = started({"n1": "now LEADER of term 4\n", "n3": "now LEADER of term 5\n"})
    assert logs_name_one_leader_per_term.judge(run.record()) == (2, [])


def test_a_second_vote_in_a_term_is_found():
    run = started({"n2": "vote in term 3: for n1\nvote in term 3: for n3 (up to date)\n"})
    (message,) = found(one_vote_per_term, run)
    assert message.startswith("n2 voted for n1 and for n3 in term 3\n")
    assert "(nodes/n2/1.log:1)" in message
    assert "(nodes/n2/1.log:2)" in message


def test_the_same_vote_twice_is_no_second_vote():
    run = started(
        {"n2": "vote in term 3: for n1\nvote in term 3: for n1\nvote in term 4: for n3\n"}
    )
    assert one_vote_per_term.judge(run.record()) == (2, [])


def test_a_candidate_has_voted_for_itself():
    log = "now CANDIDATE for term 3\nvote in term 3: for n2\n"
    assert found(one_vote_per_term, started({"n2": log})) == []
    assert (
        "voted for itself and for n1"
        in found(one_vote_per_term, started({"n2": log.replace("for n2", "for n1")}))[0]
    )


def test_a_candidate_whose_program_names_votes_by_unknown_ids_is_not_accused():
    run = started({"n2": "now CANDIDATE for term 3\nvote in term 3: for 8e9e05c52164694d\n"})
    assert found(one_vote_per_term, run) == []


def test_a_vote_forgotten_over_a_restart_is_found_only_where_it_was_on_disk():
    first, second = "vote in term 3: for n1\n", "vote in term 3: for n3\n"
    assert len(found(one_vote_per_term, restart(started({"n2": first}), "n2", second))) == 1
    # A line that is logged before the vote is on disk: a kill between the two may take the vote.
    run = restart(started({"n2": first}, elects(on_disk=[])), "n2", second)
    assert found(one_vote_per_term, run) == []


def test_a_vote_that_a_status_has_forgotten_is_found():
    run = status(status(started({}), "n2", term="3"), "n2", term="3", vote="n1")
    assert one_vote_per_term.judge(run.record()) == (0, [])
    status(restart(run, "n2", ""), "n2", term="3")
    (message,) = found(one_vote_per_term, run)
    assert "reported that it voted for n1 in term 3, and at" in message and "no vote" in message
    later = status(status(started({}), "n2", term="3", vote="n1"), "n2", term="4")
    assert found(one_vote_per_term, later) == []


def test_a_term_that_falls_in_a_log_is_found():
    run = started({"n1": "term 5: was 4\nterm 4: was 5\n"})
    (message,) = found(terms_only_rise, run)
    assert message.startswith("n1 logged term 5, and later 4\n")


def test_a_term_that_falls_over_a_restart_is_found_only_where_it_was_on_disk():
    logs = {"n1": "term 5: was 4\n"}
    assert len(found(terms_only_rise, restart(started(logs), "n1", "term 4: was 0\n"))) == 1
    plan = elects(on_disk=["vote"])
    assert found(terms_only_rise, restart(started(logs, plan), "n1", "term 4: was 0\n")) == []


# --- by STATUS --------------------------------------------------------------------------------


def test_a_later_leader_without_a_committed_entry_is_found():
    run = started({})
    status(run, "n1", "leader", term="3", commit="9", last_index="9")
    status(run, "n2", "leader", term="4", commit="4", last_index="8")
    (message,) = found(leader_completeness, run)
    assert "leads term 4, and its log ends at index 8" in message
    assert "reported in term 3 that index 9 is committed" in message


def test_the_leader_of_the_same_or_an_older_term_is_not_judged():
    run = started({})
    status(run, "n1", "leader", term="3", commit="9", last_index="9")
    status(run, "n3", "leader", term="2", last_index="5")
    status(run, "n2", "follower", term="4", commit="2", last_index="2")
    assert leader_completeness.judge(run.record()) == (0, [])


def test_logs_of_one_index_and_term_with_two_digests_are_found():
    run = started({})
    status(run, "n1", last_index="9", last_term="3", log_digest="aa")
    status(run, "n2", last_index="9", last_term="3", log_digest="bb")
    (message,) = found(log_matching, run)
    assert "ends with index 9 of term 3, and the digest of its log is aa" in message


def test_logs_of_other_terms_may_differ():
    run = started({})
    status(run, "n1", last_index="9", last_term="3", log_digest="aa")
    status(run, "n2", last_index="9", last_term="2", log_digest="bb")
    assert log_matching.judge(run.record()) == (0, [])


def test_two_states_of_one_applied_index_are_found():
    run = started({})
    status(run, "n1", applied="9", digest="aa")
    status(run, "n2", applied="9", digest="bb")
    assert "n2 at" in found(state_machine_safety, run)[0]


def test_a_status_without_a_digest_proves_nothing():
    run = started({})
    status(run, "n1", applied="9")
    status(run, "n2", applied="9", digest="bb")
    assert state_machine_safety.judge(run.record()) == (0, [])


def test_a_status_of_several_moments_counts_only_when_it_is_repeated():
    run = started({}, {**ELECTS, "capabilities": ["elects"]})
    status(run, "n1", applied="9", digest="aa")
    status(run, "n2", applied="9", digest="bb")
    assert state_machine_safety.judge(run.record()) == (0, [])
    status(run, "n2", applied="9", digest="bb")
    status(run, "n1", applied="9", digest="aa")
    assert len(found(state_machine_safety, run)) == 1


def test_a_commit_index_that_falls_is_found_over_a_restart_only_where_it_is_kept():
    def run(plan: dict) -> RunBuilder:
        made = status(started({}, plan), "n1", commit="9")
        return status(restart(made, "n1", ""), "n1", commit="4")

    assert len(found(commit_index_rises, run(elects(on_disk=["commit"])))) == 1
    assert found(commit_index_rises, run(ELECTS)) == []
    falls = status(status(started({}), "n1", commit="9"), "n1", commit="4")
    assert len(found(commit_index_rises, falls)) == 1


def test_data_that_a_fault_damaged_accuse_nobody():
    run = started({})
    run.add(
        "fault_plan",
        id="1.2",
        fault="crash",
        nodes=["n2"],
        settings={},
        traits=to_dict(FaultTraits(ends_nodes="always", damages_data=True)),
        required=True,
    )
    status(run, "n1", "leader", term="3", commit="9", last_index="9", applied="9", digest="aa")
    status(run, "n2", "leader", term="4", commit="4", last_index="8", applied="9", digest="bb")
    assert found(leader_completeness, run) == []
    assert found(state_machine_safety, run) == []


def test_a_program_that_does_not_elect_is_not_judged():
    run = started({}, {"capabilities": ["roles"]})
    status(run, "n1", applied="9", digest="aa", commit="9", term="3", last_index="9")
    status(run, "n2", applied="9", digest="bb", commit="4", term="3", last_index="4")
    for check in CHECKS:
        if check is not terms_only_rise:
            assert check.judge(run.record()) == (0, [])


# --- a model of Raft --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("atomic", [True, False])
def test_no_run_of_a_correct_store_is_accused(seed, atomic):
    """Elections, crashes, lost entries and answers of several moments, drawn from a seed."""
    run = RaftModel(random.Random(seed), atomic=atomic).run(steps=80)
    for check in CHECKS:
        _judged, findings = check.judge(run.record())
        assert not findings, f"{check.name}: {findings[0].message}"


@pytest.mark.parametrize(
    ("bug", "check"),
    [
        ("votes_twice", one_vote_per_term),
        ("ignores_log", leader_completeness),
        ("forgets_term", terms_only_rise),
        ("diverges", state_machine_safety),
        ("mixes_logs", log_matching),
        ("forgets_commit", commit_index_rises),
    ],
)
def test_a_bug_of_the_model_is_found(bug, check):
    runs = (RaftModel(random.Random(seed), bug=bug).run(steps=120) for seed in range(20))
    assert any(check.judge(run.record())[1] for run in runs)
