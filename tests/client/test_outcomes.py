"""The outcome rules: the first match wins, other replies are quoted, no refusal is invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.exchange import Exchange, Response
from kvsim.client.outcomes import (
    FAILURES,
    LEADER_GROUPS,
    check_rules,
    classify,
    format_bytes,
    format_end,
    without_a_node,
)
from kvsim.config.program import REFUSING, ReplyRule
from kvsim.history.outcome import Outcome, OutcomeKind, Reason

KEYS = ["ok", "value", "not_found", "mismatch", "read_only", "refused", "not_ready", "unknown"]


def replied(data: bytes, **more: object) -> Exchange:
    return Exchange("put", b"PUT k v\n", data, 1, 2, reply=data, **more)


def outcome(rules: list[ReplyRule], exchange: Exchange) -> Outcome:
    return classify(rules, exchange)[0]


@pytest.mark.parametrize(
    ("key", "kind", "reason"),
    [
        ("ok", OutcomeKind.OK, None),
        ("value", OutcomeKind.OK, None),
        ("not_found", OutcomeKind.OK, None),
        ("mismatch", OutcomeKind.OK, None),
        ("read_only", OutcomeKind.REFUSED, Reason.READ_ONLY),
        ("refused", OutcomeKind.REFUSED, Reason.OTHER),
        ("not_ready", OutcomeKind.REFUSED, Reason.NOT_READY),
        ("unknown", OutcomeKind.UNKNOWN, Reason.UNCERTAIN),
    ],
)
def test_each_key_has_its_outcome(key, kind, reason):
    found = outcome([ReplyRule(key, reply="x")], replied(b"x"))
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
def test_which_outcomes_mean_done(key, done):
    assert outcome([ReplyRule(key, reply="x")], replied(b"x")).done is done


def test_the_first_rule_that_matches_wins():
    rules = [
        ReplyRule("ok", reply="^OK"),
        ReplyRule("refused", reply="OK|ERR"),
        ReplyRule("read_only", reply="ERR"),
    ]
    assert outcome(rules, replied(b"OK")).kind is OutcomeKind.OK
    assert outcome(rules, replied(b"ERR")).reason is Reason.OTHER


def test_all_conditions_of_a_rule_must_hold():
    rule = ReplyRule(
        "read_only",
        reply="no",
        status=frozenset({307}),
        headers={"X-Why": "follower"},
        stderr="sorry",
    )
    whole = {"status": 307, "headers": {"x-why": "a follower"}, "stderr": b"sorry"}
    assert outcome([rule], replied(b"no", **whole)).kind is OutcomeKind.REFUSED
    for missing, other in (("status", 308), ("headers", {}), ("stderr", b"")):
        assert (
            outcome([rule], replied(b"no", **{**whole, missing: other})).kind is OutcomeKind.UNKNOWN
        )
    assert outcome([rule], replied(b"yes", **whole)).kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize("group", [group for group in LEADER_GROUPS if group != "leader_index0"])
def test_a_refusal_names_the_leader_as_written(group):
    rule = ReplyRule("read_only", reply=rf"leader is (?P<{group}>\S+)")
    assert outcome([rule], replied(b"leader is http://h:1/x")).leader == "http://h:1/x"
    assert (
        outcome(
            [ReplyRule("read_only", headers={"Location": f"(?P<{group}>.+)"})],
            replied(b"", headers={"location": "h:1"}),
        ).leader
        == "h:1"
    )


@pytest.mark.parametrize(("written", "named"), [(b"0", "1"), (b"11", "12"), (b"n1", None)])
def test_a_leader_that_is_counted_from_zero(written, named):
    rule = ReplyRule("read_only", reply=r"leader is (?P<leader_index0>\S+)")
    assert outcome([rule], replied(b"leader is " + written)).leader == named


@pytest.mark.parametrize(
    ("exchange", "rules", "kind"),
    [
        ({"status": 1}, (), OutcomeKind.REFUSED),
        ({"status": 0}, (), OutcomeKind.UNKNOWN),
        ({"status": None, "failure": "timeout"}, (), OutcomeKind.UNKNOWN),
        ({"status": 1, "connection": "a -> b"}, (), OutcomeKind.UNKNOWN),
        ({"status": 1}, (ReplyRule("unknown", reply="x"),), OutcomeKind.UNKNOWN),
    ],
)
def test_a_client_command_that_fails_while_its_node_is_down_could_not_connect(
    exchange, rules, kind
):
    asked = replied(b"x", **exchange)
    response = without_a_node(Response(asked, *classify(rules, asked)))
    assert response.outcome.kind is kind
    assert (response.outcome.reason is Reason.UNREACHABLE) is (kind is OutcomeKind.REFUSED)


def test_a_client_may_say_that_it_could_not_connect():
    rule = ReplyRule("unreachable", status=frozenset({7}))
    asked = replied(b"", status=7)
    assert outcome([rule], asked).reason is Reason.UNREACHABLE


def test_a_value_is_the_group_or_the_whole_reply():
    assert (
        outcome([ReplyRule("value", reply="(?s)^V (?P<value>.*)$")], replied(b"V a\nb \n")).value
        == "a\nb \n"
    )
    assert outcome([ReplyRule("value")], replied(b"whole")).value == "whole"
    assert (
        outcome([ReplyRule("value", reply="^V(?: (?P<value>.+))?$")], replied(b"V")).kind
        is OutcomeKind.UNKNOWN
    )
    assert outcome([ReplyRule("ok", reply="OK")], replied(b"OK")).value is None


def test_a_value_that_the_protocol_did_not_find_is_no_value():
    rules = [ReplyRule("value", status=frozenset({200}))]
    found = replied(b"{}", status=200, extracted={"value": "v"})
    lacking = replied(b"{}", status=200, extracted={"value": None})
    assert outcome(rules, found).value == "v"
    assert outcome(rules, lacking).reason is Reason.UNRECOGNISED


def test_different_bytes_that_are_not_utf8_stay_different():
    values = {
        outcome([ReplyRule("value")], replied(data)).value
        for data in (b"\xff", b"\xfe", b"\\xff", "\ufffd".encode())
    }
    assert len(values) == 4


def test_one_line_end_is_removed_when_the_protocol_gives_no_reply():
    exchange = Exchange("get", b"", b"v\r\n", 1, 2)
    assert classify([ReplyRule("ok", reply=r"^v\r?$")], exchange)[0].kind is OutcomeKind.OK


def test_a_reply_without_a_rule_is_quoted_and_truncated():
    found = outcome(
        [ReplyRule("ok", reply="^OK$")], replied(b"\x00" * 300, status=-11, stderr=b"oops")
    )
    assert (found.kind, found.reason, found.answered) == (
        OutcomeKind.UNKNOWN,
        Reason.UNRECOGNISED,
        False,
    )
    for part in (r"'\x00\x00", "300 bytes", "SIGSEGV", "'oops'"):
        assert part in found.detail
    assert found.detail.isprintable()


def test_the_outcome_of_a_verb_without_rules():
    assert "no reply rules" in outcome([], replied(b"OK")).detail


@pytest.mark.parametrize("failure", [*FAILURES, "something new"])
def test_a_failure_is_never_read_as_an_answer(failure):
    rules = [ReplyRule("ok", reply="."), ReplyRule("refused", reply=".")]
    sent_nothing = Exchange("put", b"", b"", 1, 2, failure=failure)
    sent = replied(b"ERR", failure=failure, problem="it broke")
    assert outcome(rules, sent).kind is OutcomeKind.UNKNOWN
    assert "it broke" in outcome(rules, sent).detail
    certain = outcome(rules, sent_nothing).kind is OutcomeKind.REFUSED
    assert certain == (failure == "unreachable")


def test_a_refusal_with_trailing_bytes_is_unknown_and_an_ok_stays():
    more = {"unsolicited": b"oldOK\n", "trailing_bytes": 3}
    assert (
        outcome([ReplyRule("read_only", reply="ERR")], replied(b"ERR", **more)).kind
        is OutcomeKind.UNKNOWN
    )
    assert outcome([ReplyRule("ok", reply="OK")], replied(b"OK", **more)).kind is OutcomeKind.OK
    before_only = {"unsolicited": b"old\n", "trailing_bytes": 0}
    assert (
        outcome([ReplyRule("read_only", reply="ERR")], replied(b"ERR", **before_only)).kind
        is OutcomeKind.REFUSED
    )


@pytest.mark.parametrize("key", REFUSING)
def test_a_refusal_without_a_condition_refuses_nothing(key):
    assert outcome([ReplyRule(key)], replied(b"anything")).kind is OutcomeKind.UNKNOWN
    assert "no condition" in check_rules([ReplyRule(key)])


def test_a_bad_pattern_is_named():
    assert "'(' is not a regular expression" in check_rules(
        [ReplyRule("ok", reply="OK"), ReplyRule("value", stderr="(")]
    )
    assert check_rules([ReplyRule("value")]) is None


PATTERNS = st.sampled_from(
    ["^OK$", "ERR", r"(?P<value>.*)", r"port (?P<leader_port>\d+)?", "", r"^\x00"]
)
RULES = st.lists(
    st.builds(
        ReplyRule,
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
    trailing_bytes=st.integers(0, 2),
)
def test_any_exchange_has_one_printable_outcome_and_refusals_have_a_reason(
    rules, received, failure, status, trailing_bytes
):
    exchange = replied(
        received, failure=failure, status=status, unsolicited=b"xy", trailing_bytes=trailing_bytes
    )
    found, groups = classify(rules, exchange)
    assert isinstance(found, Outcome)
    assert found.detail.isprintable()
    assert all(isinstance(value, str) for value in groups.values())
    if found.kind is OutcomeKind.REFUSED:
        assert failure is None
        assert trailing_bytes == 0
        assert any(rule.outcome in REFUSING for rule in rules)


@given(st.binary(max_size=500))
def test_bytes_are_quoted_printable_and_with_their_length(data):
    shown = format_bytes(data)
    assert shown.isprintable()
    assert len(shown) < 900
    assert len(data) <= 200 or f"({len(data)} bytes)" in shown


def test_a_point_in_a_pattern_matches_no_line_end_unless_it_says_so():
    """A value on one line of several is that line, not the rest of the reply."""
    reply = replied(b"dn: cn=k\ndescription: v one\n\nend\n")
    line = ReplyRule("value", reply="(?m)^description: (?P<value>.*)$")
    rest = ReplyRule("value", reply="(?ms)^description: (?P<value>.*)\\Z")
    assert outcome([line], reply).value == "v one"
    assert outcome([rest], reply).value == "v one\n\nend\n"


def test_of_much_that_a_client_printed_its_last_lines_are_shown():
    end = b"Caused by: no route to n1"
    shown = format_end(b"at a.b.C(C.java)\n" * 100 + end)
    assert end.decode() in shown
    assert "(1725 bytes)" in shown
    assert format_end(end) == repr(end)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (r'{"v": "a \"b\" \\ \u00e9"}', 'a "b" \\ \N{LATIN SMALL LETTER E WITH ACUTE}'),
        (r'{"v": "\ud83e\udd8a"}', "\N{FOX FACE}"),
        ('{"v": ""}', ""),
        ('{"v": 5}', "5"),
        ('{"v": true}', "true"),
    ],
)
def test_a_value_in_json_is_decoded(reply, value):
    rules = [ReplyRule("value", r'^\{"v": (?P<value_json>.*)\}$')]
    found = outcome(rules, replied(reply.encode()))
    assert (found.kind, found.value) == (OutcomeKind.OK, value)


@pytest.mark.parametrize("reply", ['{"v": null}', '{"v": "a}', '{"v": x}'])
def test_what_is_no_value_in_json_matches_no_rule(reply):
    rules = [ReplyRule("value", r'^\{"v": (?P<value_json>.*)\}$')]
    assert outcome(rules, replied(reply.encode())).kind is OutcomeKind.UNKNOWN
