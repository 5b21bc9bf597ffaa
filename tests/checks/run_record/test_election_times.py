"""The checks of elections in time: nothing proves nothing, and no node is accused wrongly."""

from __future__ import annotations

import random

import pytest

from kvsim.checks.connectivity import connected_majorities, periods_alone
from kvsim.checks.run_record.election_times import (
    elects_in_time,
    members_are_odd,
    no_disruption,
    one_way_links,
)
from kvsim.checks.verdict import Verdict
from kvsim.history.history import FaultTraits
from kvsim.history.journal import Event
from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.history.run_record import RunRecord
from kvsim.structs import to_dict
from kvsim.text import even_members
from tests.checks.run_record.run_builder import RunBuilder

NODES = ("n1", "n2", "n3")
PLAN = {
    "capabilities": ["elects"],
    "elections": {"timeout_s": 0.5, "serves_within_s": None, "logs": {}, "on_disk": []},
}
LIMIT_S = 2.5


class Timed:
    """A record with events at given seconds."""

    def __init__(self, **plan) -> None:
        self.builder = RunBuilder(**{**PLAN, **plan})
        for node in NODES:
            fields = {"node": node, "incarnation": 1}
            self.at(0.0, "spawn", **fields, pid=100, start_ticks=1, attached=False)
            self.at(0.5, "ready", **fields, probes={})

    def at(self, at_s: float, kind: str, **fields) -> Timed:
        self.builder.events.append(Event(at_s, kind, fields))
        return self

    def answers(self, begin_s: float, end_s: float, *, every_s: float = 0.2, **roles) -> Timed:
        """`n1="leader"`, `n1="follower"`, or `n1=7`: a follower of that term."""
        count = int((end_s - begin_s) / every_s)
        for number in range(count + 1):
            for node, role in roles.items():
                fields = {"term": str(role if isinstance(role, int) else 4)}
                self.at(
                    begin_s + number * every_s,
                    "role",
                    step="1.1",
                    node=node,
                    role="follower" if isinstance(role, int) else role,
                    how="reports",
                    leader=None,
                    fields=fields,
                )
        return self

    def fault(self, begin_s: float, end_s: float, nodes=(), flows=(), mode="blackhole") -> Timed:
        settings = {"flows": list(flows), "mode": mode} if flows else {}
        ends = sorted({end for flow in flows for end in flow.split("->")} - {"client"})
        key = f"1.{len(self.builder.events)}"
        traits = to_dict(FaultTraits())
        self.at(
            begin_s,
            "fault_plan",
            id=key,
            fault=mode if flows else "pause",
            nodes=list(nodes or ends),
            settings=settings,
            traits=traits,
            required=True,
        )
        self.at(begin_s, "fault_begin", id=key)
        self.at(
            end_s, "fault_evidence", id=key, subject="x", took_effect=True, message="", measured={}
        )
        return self.at(end_s, "fault_end", id=key, recovered=True, messages=[])

    def record(self) -> RunRecord:
        self.builder.events.sort(key=lambda event: event.at_s)
        return self.builder.record()


def cut_off(node: str) -> list[str]:
    others = [other for other in NODES if other != node]
    return [flow for other in others for flow in (f"{other}->{node}", f"{node}->{other}")]


FOLLOW = dict.fromkeys(NODES, "follower")


# --- elects_in_time ---------------------------------------------------------------------------


def test_a_connected_majority_that_never_elects_is_found():
    run = Timed().answers(1.0, 5.0, **FOLLOW)
    judged, (finding,) = elects_in_time.judge(run.record())
    assert judged == 3
    assert finding.message == (
        "n1, n2 were up and connected from 0.500s to 5.000s; from 1.000s to 5.000s each of them "
        "answered that it does not lead, and no write was acknowledged (4.00 s; at most 2.50 s)"
    )


@pytest.mark.parametrize("led", ["an answer", "a write"])
def test_a_sign_of_a_leader_in_time_is_no_finding(led):
    run = Timed().answers(1.0, 5.0, **FOLLOW)
    if led == "an answer":
        run.answers(3.1, 3.1, n3="leader")
    else:
        request = {"id": 1, "step": "1.1", "purpose": "step", "node": "n3", "incarnation": 1}
        run.at(
            3.2,
            "operation",
            **request,
            verb="put",
            key="k",
            value="v",
            invoked_s=3.1,
            completed_s=3.2,
            connection="c",
            outcome=Outcome(OutcomeKind.OK).to_json(),
        )
    judged, findings = elects_in_time.judge(run.record())
    assert judged and not findings


def test_without_answers_nothing_is_judged():
    assert elects_in_time.judge(Timed().at(9.0, "end", how="end").record()) == (0, [])


def test_answers_far_apart_do_not_show_that_no_node_led_between():
    run = Timed().answers(1.0, 9.0, every_s=1.5, **FOLLOW)
    assert elects_in_time.judge(run.record())[1] == []


def test_a_time_with_a_fault_and_as_long_again_is_left_out():
    run = Timed().answers(1.0, 9.0, **FOLLOW).fault(2.0, 5.0, nodes=["n1", "n2", "n3"])
    assert elects_in_time.judge(run.record())[1] == []


def test_a_node_that_is_cut_off_from_its_clients_may_lead():
    run = Timed().answers(1.0, 6.0, n1="follower", n2="follower")
    run.fault(1.0, 6.0, flows=["client->n3"])
    assert elects_in_time.judge(run.record())[1] == []


def test_a_majority_beside_a_node_that_is_down_has_to_elect():
    run = Timed().answers(1.0, 6.0, n1="follower", n2="follower")
    run.at(0.9, "signal", node="n3", incarnation=1, signal="SIGKILL", why="kill")
    assert len(elects_in_time.judge(run.record())[1]) == 1


def test_a_leader_that_is_cut_off_does_not_count_for_the_majority_that_elects_none():
    """n3 goes on saying that it leads; that is a sign of a leader, and not judged here."""
    run = Timed().answers(1.0, 6.0, n1="follower", n2="follower")
    run.fault(1.0, 6.0, flows=cut_off("n3"))
    assert len(elects_in_time.judge(run.record())[1]) == 1
    assert elects_in_time.judge(run.answers(1.0, 6.0, n3="leader").record())[1] == []


def test_a_program_whose_node_yaml_tells_no_election_timeout_is_not_judged():
    run = Timed(elections=None).answers(1.0, 9.0, **FOLLOW)
    assert elects_in_time.judge(run.record()) == (0, [])


@pytest.mark.parametrize("seed", range(20))
def test_a_cluster_that_elects_within_its_time_is_never_accused(seed):
    """Leaders come and go; each time without one outside of faults is shorter than the limit."""
    rng, now_s = random.Random(seed), 0.6
    run = Timed()
    while now_s < 40:
        leader = rng.choice(NODES)
        until_s = now_s + rng.uniform(0.1, 3)
        run.answers(now_s, until_s, every_s=rng.uniform(0.05, 1.2), **{**FOLLOW, leader: "leader"})
        if rng.random() < 0.5:
            fault_s = rng.uniform(0.1, 4)
            run.answers(until_s, until_s + fault_s, **FOLLOW)
            run.fault(until_s, until_s + fault_s, nodes=rng.sample(NODES, 2))
            until_s += 2 * fault_s
        now_s = until_s + rng.uniform(0.1, LIMIT_S - 0.2)
        run.answers(until_s, now_s - 0.05, every_s=0.1, **FOLLOW)
    assert elects_in_time.judge(run.record())[1] == []


# --- no_disruption ----------------------------------------------------------------------------


def alone_for(seconds: float, terms: list[int], **plan) -> RunRecord:
    run = Timed(**plan).fault(1.0, 1.0 + seconds, flows=cut_off("n2"))
    for number, term in enumerate(terms):
        run.answers(2.5 + number, 2.5 + number, n2=term)
    return run.record()


def test_a_node_that_goes_on_raising_its_term_while_it_is_alone_disrupts():
    record = alone_for(6.0, [4, 6, 9], capabilities=["elects", "pre_vote"])
    judged, (finding,) = no_disruption.judge(record)
    assert judged == 1
    assert finding.message.startswith("n2 raised its term from 4 (at 2.500s) to 9 (at 4.500s)")
    assert finding.verdict is Verdict.FAIL


def test_without_the_capability_it_is_a_warning():
    judged, (finding,) = no_disruption.judge(alone_for(6.0, [4, 6, 9]))
    assert judged == 0
    assert finding.verdict is Verdict.PASS


@pytest.mark.parametrize("terms", [[4, 4, 4], [4, 5, 5], [4]])
def test_a_term_that_stays_or_was_decided_before_is_no_finding(terms):
    record = alone_for(6.0, terms, capabilities=["elects", "pre_vote"])
    assert no_disruption.judge(record)[1] == []


def test_a_node_at_which_bytes_arrive_is_not_alone():
    one_way = Timed().fault(1.0, 5.0, flows=["n2->n1", "n2->n3"]).record()
    assert list(periods_alone(one_way)) == []
    deaf = Timed().fault(1.0, 5.0, flows=["n1->n2", "n3->n2"]).record()
    assert [period.nodes for period in periods_alone(deaf)] == [("n2",)]
    slow = Timed().fault(1.0, 5.0, flows=cut_off("n2"), mode="pass").record()
    assert list(periods_alone(slow)) == []


# --- one_way_links ----------------------------------------------------------------------------


def test_one_way_links_are_measured_and_fail_nothing():
    run = Timed().answers(1.0, 6.0, n1="leader", n2="follower")
    run.fault(2.0, 5.0, flows=["n1->n2"])
    judged, (finding,) = one_way_links.judge(run.record())
    assert judged == 1
    assert finding.verdict is Verdict.PASS
    assert finding.message == (
        "for 3.00 s nothing passed from n1 to n2: n1 in term 4 led, 1 term, 0 writes acknowledged, "
        "at most 3.00 s without one"
    )
    both = Timed().fault(2.0, 5.0, flows=cut_off("n2")).record()
    assert one_way_links.judge(both) == (0, [])


def test_periods_of_connected_majorities():
    run = Timed().fault(2.0, 3.0, flows=["n1->n2", "n2->n1"]).at(9.0, "end", how="end")
    found = {
        (period.nodes, period.begin_s, period.end_s)
        for period in connected_majorities(run.record())
    }
    assert found == {
        (("n1", "n2"), 0.5, 2.0),
        (("n1", "n2"), 4.0, 9.0),
        (("n1", "n3"), 0.5, 9.0),
        (("n2", "n3"), 0.5, 9.0),
    }


def test_an_even_number_of_members_is_a_warning():
    assert members_are_odd.judge(Timed().record()) == (1, [])
    assert members_are_odd.judge(Timed(capabilities=[]).record()) == (0, [])
    assert even_members(4) == (
        "4 nodes elect a leader, an even number: a majority is 3, so that no more of them may fail "
        "than of 3"
    )
