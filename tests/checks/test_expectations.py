"""Expectations in words, held against outcomes. Refused never covers unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.checks.expectations import ObservedReply, check_expectation
from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Expectation
from kvsim.history.outcome import REFUSAL_REASONS, Outcome, OutcomeKind, Reason

OK = Outcome(OutcomeKind.OK)
VALUE = Outcome(OutcomeKind.OK, value="v", found=True)
EMPTY = Outcome(OutcomeKind.OK, value="", found=True)
ABSENT = Outcome(OutcomeKind.OK, found=False)
MISMATCH = Outcome(OutcomeKind.OK, matched=False)
TOLD = Outcome(OutcomeKind.OK, matched=False, value="v")
READ_ONLY = Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY, leader="9001")
OTHER = Outcome(OutcomeKind.REFUSED, Reason.OTHER)
UNREACHABLE = Outcome(OutcomeKind.REFUSED, Reason.UNREACHABLE)
TIMEOUT = Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT)
STRANGE = Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED)
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
    assert (check_expectation(Expectation(kind), ObservedReply(ALL[name])) is None) == (
        name in MET[kind]
    )


def test_a_value_is_compared_as_it_was_read():
    assert check_expectation(Expectation("value", value="v"), ObservedReply(VALUE)) is None
    assert check_expectation(Expectation("value", value=""), ObservedReply(EMPTY)) is None
    assert check_expectation(Expectation("value", value=""), ObservedReply(ABSENT)) is not None
    assert (
        "mismatch, met 'v'"
        in check_expectation(Expectation("value", value="v"), ObservedReply(TOLD)).why
    )
    assert (
        "value 'v'" in check_expectation(Expectation("value", value="w"), ObservedReply(VALUE)).why
    )


def test_a_refusal_for_another_reason_is_not_the_one_that_was_wanted():
    wanted = Expectation("refused", reason="read_only")
    assert check_expectation(wanted, ObservedReply(READ_ONLY)) is None
    assert "another reason" in check_expectation(wanted, ObservedReply(OTHER)).why


def test_nobody_listening_is_a_refusal_only_where_it_is_asked_for():
    assert check_expectation(Expectation("refused"), ObservedReply(UNREACHABLE)) is not None
    assert (
        check_expectation(Expectation("refused", reason="unreachable"), ObservedReply(UNREACHABLE))
        is None
    )


def test_naming_the_leader_means_the_true_one():
    wanted = Expectation("refused", names="leader")
    assert (
        check_expectation(wanted, ObservedReply(READ_ONLY, leader_named="n1", leader_true="n1"))
        is None
    )
    assert (
        "the leader is n1"
        in check_expectation(
            wanted, ObservedReply(READ_ONLY, leader_named="n2", leader_true="n1")
        ).why
    )
    assert (
        "does not name"
        in check_expectation(
            wanted, ObservedReply(READ_ONLY, leader_named=None, leader_true="n1")
        ).why
    )


def test_a_time_out_where_a_refusal_was_wanted_is_unknown_and_a_strange_reply_is_a_failure():
    assert (
        check_expectation(Expectation("refused"), ObservedReply(TIMEOUT)).verdict is Verdict.UNKNOWN
    )
    assert check_expectation(Expectation("refused"), ObservedReply(STRANGE)).verdict is Verdict.FAIL
    assert check_expectation(Expectation("refused"), ObservedReply(OK)).verdict is Verdict.FAIL


def test_any_of_takes_one():
    wanted = Expectation("any_of", options=(Expectation("ok"), Expectation("refused")))
    assert check_expectation(wanted, ObservedReply(OK)) is None
    assert check_expectation(wanted, ObservedReply(OTHER)) is None
    assert check_expectation(wanted, ObservedReply(TIMEOUT)).verdict is Verdict.UNKNOWN


outcomes = st.one_of(
    st.builds(
        Outcome,
        st.just(OutcomeKind.OK),
        value=st.none() | st.text(),
        found=st.none() | st.booleans(),
        detail=st.text(),
    ),
    st.builds(
        Outcome,
        st.just(OutcomeKind.REFUSED),
        st.sampled_from(sorted(REFUSAL_REASONS)),
        leader=st.none() | st.text(),
    ),
    st.builds(
        Outcome,
        st.just(OutcomeKind.UNKNOWN),
        st.sampled_from(sorted(set(Reason) - REFUSAL_REASONS)),
        detail=st.text(),
    ),
)


@given(outcomes)
def test_an_outcome_comes_back_from_the_journal_as_it_went_in(outcome):
    assert Outcome.from_json(outcome.to_json()) == outcome


@given(outcomes)
def test_refused_and_unknown_never_hold_for_the_same_outcome(outcome):
    refused = check_expectation(Expectation("refused"), ObservedReply(outcome)) is None
    unknown = check_expectation(Expectation("unknown"), ObservedReply(outcome)) is None
    served = check_expectation(Expectation("served"), ObservedReply(outcome)) is None
    assert refused + unknown + served <= 1


def test_a_reply_that_does_not_match_is_shown_as_it_came():
    strange = Outcome(
        OutcomeKind.UNKNOWN, Reason.UNRECOGNISED, detail="no reply rule matches b'OK'"
    )
    miss = check_expectation(
        Expectation("reply", value="^PONG"), ObservedReply(strange, reply="OK\n")
    )
    assert miss.why == "got the reply 'OK'"
    silent = Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT)
    assert (
        "timeout"
        in check_expectation(Expectation("reply", value="^PONG"), ObservedReply(silent)).why
    )
