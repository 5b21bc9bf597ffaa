"""Expectations in words, held against outcomes. Refused never covers unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.checks.expectations import Seen, judge
from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Expectation
from kvsim.history.outcome import REFUSAL_REASONS, Kind, Outcome, Reason

OK = Outcome(Kind.OK)
VALUE = Outcome(Kind.OK, value="v", found=True)
EMPTY = Outcome(Kind.OK, value="", found=True)
ABSENT = Outcome(Kind.OK, found=False)
MISMATCH = Outcome(Kind.OK, matched=False)
TOLD = Outcome(Kind.OK, matched=False, value="v")
READ_ONLY = Outcome(Kind.REFUSED, Reason.READ_ONLY, leader="9001")
OTHER = Outcome(Kind.REFUSED, Reason.OTHER)
UNREACHABLE = Outcome(Kind.REFUSED, Reason.UNREACHABLE)
TIMEOUT = Outcome(Kind.UNKNOWN, Reason.TIMEOUT)
STRANGE = Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED)
ALL = {
    "ok": OK,
    "value": VALUE,
    "absent": ABSENT,
    "mismatch": MISMATCH,
    "mismatch that tells": TOLD,
    "read only": READ_ONLY,
    "other": OTHER,
    "unreachable": UNREACHABLE,
    "timeout": TIMEOUT,
    "strange": STRANGE,
}

MET = {  # expectation → the outcomes that meet it; every other one must not
    "ok": {"ok", "value"},
    "served": {"ok", "value", "absent", "mismatch", "mismatch that tells"},
    "not_found": {"absent"},
    "mismatch": {"mismatch", "mismatch that tells"},
    "refused": {"read only", "other"},
    "unknown": {"timeout", "strange"},
    "unreachable": {"unreachable"},
}


@pytest.mark.parametrize("kind", MET)
@pytest.mark.parametrize("name", ALL)
def test_each_word_is_met_by_its_outcomes_and_no_others(kind, name):
    assert (judge(Expectation(kind), Seen(ALL[name])) is None) == (name in MET[kind])


def test_a_value_is_compared_as_it_was_read():
    assert judge(Expectation("value", value="v"), Seen(VALUE)) is None
    assert judge(Expectation("value", value=""), Seen(EMPTY)) is None
    assert judge(Expectation("value", value=""), Seen(ABSENT)) is not None
    assert "mismatch, met 'v'" in judge(Expectation("value", value="v"), Seen(TOLD)).why
    assert "value 'v'" in judge(Expectation("value", value="w"), Seen(VALUE)).why


def test_a_refusal_for_another_reason_is_not_the_one_that_was_wanted():
    wanted = Expectation("refused", reason="read_only")
    assert judge(wanted, Seen(READ_ONLY)) is None
    assert "another reason" in judge(wanted, Seen(OTHER)).why


def test_nobody_listening_is_a_refusal_only_where_it_is_asked_for():
    assert judge(Expectation("refused"), Seen(UNREACHABLE)) is not None
    assert judge(Expectation("refused", reason="unreachable"), Seen(UNREACHABLE)) is None


def test_naming_the_leader_means_the_true_one():
    wanted = Expectation("refused", names="leader")
    assert judge(wanted, Seen(READ_ONLY, leader_named="n1", leader_true="n1")) is None
    assert "the leader is n1" in judge(wanted, Seen(READ_ONLY, leader_named="n2", leader_true="n1")).why
    assert "does not name" in judge(wanted, Seen(READ_ONLY, leader_named=None, leader_true="n1")).why


def test_a_time_out_where_a_refusal_was_wanted_is_unknown_and_a_strange_reply_is_a_failure():
    assert judge(Expectation("refused"), Seen(TIMEOUT)).verdict is Verdict.UNKNOWN
    assert judge(Expectation("refused"), Seen(STRANGE)).verdict is Verdict.FAIL
    assert judge(Expectation("refused"), Seen(OK)).verdict is Verdict.FAIL


def test_any_of_takes_one():
    wanted = Expectation("any_of", options=(Expectation("ok"), Expectation("refused")))
    assert judge(wanted, Seen(OK)) is None
    assert judge(wanted, Seen(OTHER)) is None
    assert judge(wanted, Seen(TIMEOUT)).verdict is Verdict.UNKNOWN


outcomes = st.one_of(
    st.builds(
        Outcome,
        st.just(Kind.OK),
        value=st.none() | st.text(),
        found=st.none() | st.booleans(),
        detail=st.text(),
    ),
    st.builds(
        Outcome, st.just(Kind.REFUSED), st.sampled_from(sorted(REFUSAL_REASONS)), leader=st.none() | st.text()
    ),
    st.builds(
        Outcome,
        st.just(Kind.UNKNOWN),
        st.sampled_from(sorted(set(Reason) - REFUSAL_REASONS)),
        detail=st.text(),
    ),
)


@given(outcomes)
def test_an_outcome_comes_back_from_the_journal_as_it_went_in(outcome):
    assert Outcome.from_json(outcome.to_json()) == outcome


@given(outcomes)
def test_refused_and_unknown_never_hold_for_the_same_outcome(outcome):
    refused = judge(Expectation("refused"), Seen(outcome)) is None
    unknown = judge(Expectation("unknown"), Seen(outcome)) is None
    served = judge(Expectation("served"), Seen(outcome)) is None
    assert refused + unknown + served <= 1


def test_a_reply_that_does_not_match_is_shown_as_it_came():
    strange = Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED, detail="no reply rule matches b'OK'")
    miss = judge(Expectation("reply", value="^PONG"), Seen(strange, reply="OK\n"))
    assert miss.why == "got the reply 'OK'"
    silent = Outcome(Kind.UNKNOWN, Reason.TIMEOUT)
    assert "timeout" in judge(Expectation("reply", value="^PONG"), Seen(silent)).why
