"""The outcome rules: what matches wins in order, what matches nothing is shown, and no refusal is made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.exchange import Exchange
from kvsim.client.outcomes import FAILURES, LEADER_GROUPS, check_rules, classify, show
from kvsim.config.program import REFUSING, Rule
from kvsim.history.outcome import Kind, Outcome, Reason

KEYS = ["ok", "value", "not_found", "mismatch", "read_only", "refused", "not_ready", "unknown"]


def replied(data: bytes, **more: object) -> Exchange:
    return Exchange("put", b"PUT k v\n", data, 1, 2, reply=data, **more)


def outcome(rules: list[Rule], exchange: Exchange) -> Outcome:
    return classify(rules, exchange)[0]


@pytest.mark.parametrize(
    ("key", "kind", "reason"),
    [
        ("ok", Kind.OK, None),
        ("value", Kind.OK, None),
        ("not_found", Kind.OK, None),
        ("mismatch", Kind.OK, None),
        ("read_only", Kind.REFUSED, Reason.READ_ONLY),
        ("refused", Kind.REFUSED, Reason.OTHER),
        ("not_ready", Kind.REFUSED, Reason.NOT_READY),
        ("unknown", Kind.UNKNOWN, Reason.UNCERTAIN),
    ],
)
def test_each_key_has_its_outcome(key, kind, reason):
    found = outcome([Rule(key, reply="x")], replied(b"x"))
    assert (found.kind, found.reason, found.answered) == (kind, reason, True)


@pytest.mark.parametrize(
    ("key", "done"),
    [
        ("ok", True),
        ("value", True),
        ("not_found", False),
        ("mismatch", False),
        ("refused", False),
        ("unknown", False),
    ],
)
def test_only_what_was_done_is_done(key, done):
    assert outcome([Rule(key, reply="x")], replied(b"x")).done is done


def test_the_first_rule_that_matches_wins():
    rules = [Rule("ok", reply="^OK"), Rule("refused", reply="OK|ERR"), Rule("read_only", reply="ERR")]
    assert outcome(rules, replied(b"OK")).kind is Kind.OK
    assert outcome(rules, replied(b"ERR")).reason is Reason.OTHER


def test_all_conditions_of_a_rule_must_hold():
    rule = Rule(
        "read_only", reply="no", status=frozenset({307}), headers={"X-Why": "follower"}, stderr="sorry"
    )
    whole = {"status": 307, "headers": {"x-why": "a follower"}, "stderr": b"sorry"}
    assert outcome([rule], replied(b"no", **whole)).kind is Kind.REFUSED
    for missing, other in (("status", 308), ("headers", {}), ("stderr", b"")):
        assert outcome([rule], replied(b"no", **{**whole, missing: other})).kind is Kind.UNKNOWN
    assert outcome([rule], replied(b"yes", **whole)).kind is Kind.UNKNOWN


@pytest.mark.parametrize("group", LEADER_GROUPS)
def test_a_refusal_names_the_leader_as_written(group):
    rule = Rule("read_only", reply=rf"leader is (?P<{group}>\S+)")
    assert outcome([rule], replied(b"leader is http://h:1/x")).leader == "http://h:1/x"
    assert (
        outcome(
            [Rule("read_only", headers={"Location": f"(?P<{group}>.+)"})],
            replied(b"", headers={"location": "h:1"}),
        ).leader
        == "h:1"
    )


def test_a_value_is_the_group_or_the_whole_reply():
    assert outcome([Rule("value", reply="^V (?P<value>.*)$")], replied(b"V a\nb \n")).value == "a\nb \n"
    assert outcome([Rule("value")], replied(b"whole")).value == "whole"
    assert outcome([Rule("value", reply="^V(?: (?P<value>.+))?$")], replied(b"V")).kind is Kind.UNKNOWN
    assert outcome([Rule("ok", reply="OK")], replied(b"OK")).value is None


def test_what_the_protocol_looked_for_and_did_not_find_is_no_value():
    rules = [Rule("value", status=frozenset({200}))]
    found = replied(b"{}", status=200, extracted={"value": "v"})
    lacking = replied(b"{}", status=200, extracted={"value": None})
    assert outcome(rules, found).value == "v"
    assert outcome(rules, lacking).reason is Reason.UNRECOGNISED


def test_bytes_that_are_no_text_stay_apart():
    values = {
        outcome([Rule("value")], replied(data)).value
        for data in (b"\xff", b"\xfe", b"\\xff", "\ufffd".encode())
    }
    assert len(values) == 4


def test_one_line_end_is_removed_where_the_protocol_gives_no_reply_of_its_own():
    exchange = Exchange("get", b"", b"v\r\n", 1, 2)
    assert classify([Rule("ok", reply=r"^v\r?$")], exchange)[0].kind is Kind.OK


def test_what_matches_nothing_is_shown_and_cut():
    found = outcome([Rule("ok", reply="^OK$")], replied(b"\x00" * 300, status=-11, stderr=b"oops"))
    assert (found.kind, found.reason, found.answered) == (Kind.UNKNOWN, Reason.UNRECOGNISED, False)
    for part in (r"b'\x00\x00", "300 bytes", "SIGSEGV", "b'oops'"):
        assert part in found.detail
    assert found.detail.isprintable()


def test_a_verb_without_rules_says_so():
    assert "no reply rules" in outcome([], replied(b"OK")).detail


@pytest.mark.parametrize("failure", [*FAILURES, "something new"])
def test_a_failure_is_never_read_as_an_answer(failure):
    rules = [Rule("ok", reply="."), Rule("refused", reply=".")]
    sent_nothing = Exchange("put", b"", b"", 1, 2, failure=failure)
    sent = replied(b"ERR", failure=failure, problem="it broke")
    assert outcome(rules, sent).kind is Kind.UNKNOWN
    assert "it broke" in outcome(rules, sent).detail
    certain = outcome(rules, sent_nothing).kind is Kind.REFUSED
    assert certain == (failure == "unreachable")


def test_surplus_takes_certainty_from_a_refusal_and_lets_a_promise_stand():
    more = {"unsolicited": b"oldOK\n", "surplus": 3}
    assert outcome([Rule("read_only", reply="ERR")], replied(b"ERR", **more)).kind is Kind.UNKNOWN
    assert outcome([Rule("ok", reply="OK")], replied(b"OK", **more)).kind is Kind.OK
    before_only = {"unsolicited": b"old\n", "surplus": 0}
    assert outcome([Rule("read_only", reply="ERR")], replied(b"ERR", **before_only)).kind is Kind.REFUSED


@pytest.mark.parametrize("key", REFUSING)
def test_a_refusal_without_a_condition_refuses_nothing(key):
    assert outcome([Rule(key)], replied(b"anything")).kind is Kind.UNKNOWN
    assert "no condition" in check_rules([Rule(key)])


def test_a_bad_pattern_is_named():
    assert "'(' is not a regular expression" in check_rules(
        [Rule("ok", reply="OK"), Rule("value", stderr="(")]
    )
    assert check_rules([Rule("value")]) is None


PATTERNS = st.sampled_from(["^OK$", "ERR", r"(?P<value>.*)", r"port (?P<leader_port>\d+)?", "", r"^\x00"])
RULES = st.lists(
    st.builds(
        Rule,
        outcome=st.sampled_from(KEYS),
        reply=st.none() | PATTERNS,
        status=st.frozensets(st.integers(-2, 2), max_size=2),
        stderr=st.none() | PATTERNS,
    ),
    max_size=4,
)


@given(
    rules=RULES,
    received=st.binary(max_size=300) | st.sampled_from([b"OK", b"ERR port 9001"]),
    failure=st.none() | st.sampled_from(list(FAILURES)),
    status=st.none() | st.integers(-300, 600),
    surplus=st.integers(0, 2),
)
def test_any_exchange_has_one_printable_outcome_and_refusals_have_a_reason(
    rules, received, failure, status, surplus
):
    exchange = replied(received, failure=failure, status=status, unsolicited=b"xy", surplus=surplus)
    found, groups = classify(rules, exchange)
    assert isinstance(found, Outcome)
    assert found.detail.isprintable()
    assert all(isinstance(value, str) for value in groups.values())
    if found.kind is Kind.REFUSED:
        assert failure is None
        assert surplus == 0
        assert any(rule.outcome in REFUSING for rule in rules)


@given(st.binary(max_size=500))
def test_bytes_are_shown_printable_and_with_their_length(data):
    shown = show(data)
    assert shown.isprintable()
    assert len(shown) < 900
    assert len(data) <= 200 or f"({len(data)} bytes)" in shown
