"""The status of a node, read by the program's `status` query, and the JSON paths in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.client.json_path import find, parse_path, read_json
from kvsim.client.status import ask_status, read_fields, role_of
from kvsim.config.program import Program, Query, ReplyRule, Role, Speak
from tests.client.programs import client
from tests.client.servers import answering, serving

ANSWER = {
    "role": "Primary",
    "peers": [{"id": 7}, {"id": "x"}],
    "keys": 0,
    "up": True,
    "none": None,
    "odd name": "o",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.role", "Primary"),
        ("$.peers[0].id", "7"),
        ("$.peers.1.id", "x"),
        ('$["odd name"]', "o"),
        ("$['odd name']", "o"),
        ("$.keys", "0"),
        ("$.up", "true"),
        ("$.peers[1]", '{"id": "x"}'),
        ("$.none", None),
        ("$.nothing", None),
        ("$.peers[9]", None),
        ("$.role[0]", None),
        ("$.peers.²", None),
    ],
)
def test_a_path_finds_a_value_as_text(path, value):
    assert find(ANSWER, parse_path(path)) == value


@pytest.mark.parametrize(
    "path", ["role", "", "$role", "$..role", "$.a[x]", "$.a[", "$.a[-1]", "$.*.["]
)
def test_a_text_that_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="JSON path"):
        parse_path(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON, st.lists(st.sampled_from(["a", "0", "1", ""]), max_size=4))
def test_any_document_has_text_or_nothing_at_any_path(document, steps):
    found = find(document, tuple(steps))
    assert found is None or isinstance(found, str)


@given(
    st.binary(max_size=40) | st.sampled_from([b"[" * 100_000, b"1" * 5000, b"\xff", b'"\\ud800"'])
)
def test_reading_json_never_raises(data):
    read_json(data)


def test_fields_are_read_by_path_or_by_pattern():
    query = Query(
        fields={"role": "$.role", "keys": r"^keys=(\d+)", "gone": "$.gone", "no": r"no (match)"}
    )
    assert read_fields(query, 'keys=3\n{"role": "leader"}') == {"role": "leader", "keys": "3"}
    assert read_fields(query, "no JSON here") == {}


def test_a_role_may_be_a_status_or_a_header_and_a_leader_may_be_counted_from_zero():
    query = Query(fields={"role": "status", "region": "headers.X-Region", "leader_index0": r"(\d)"})
    fields = read_fields(query, "leader 2", 503, {"x-region": "eu"})
    assert fields == {"role": "503", "region": "eu", "leader_index0": "2", "leader": "3"}
    assert read_fields(query, "none", None, {}) == {}
    assert role_of(Query(words={"200": Role.LEADER, "503": Role.FOLLOWER}), "503", {}) == "follower"


WORDS = {"primary": Role.LEADER, "replica of {leader.addr}": Role.FOLLOWER}


def test_a_node_is_asked_in_the_protocol_of_its_program():
    body = json.dumps(ANSWER).encode()
    described = Program(
        "store",
        None,
        {},
        speak=Speak("lines"),
        requests={"status": "STATUS"},
        replies={"status": (ReplyRule("ok", reply=r"^\{"),)},
        status=Query(fields={"role": "$.role", "keys": "$.keys"}, words=WORDS),
    )
    for reply, role, keys in (
        (b'{"role": "replica of 10.0.0.1:7"}', Role.FOLLOWER, None),
        (body, Role.LEADER, "0"),
        (b'{"role": "witness"}', None, None),
        (b"ERR", None, None),
    ):
        with serving(answering(lambda _, reply=reply: reply + b"\n")) as port:
            to = client(port, described)
            status = ask_status(to, described, 20.0, {"leader.addr": "10.0.0.1:7"})
            to.close()
        assert (status.role, status.fields.get("keys"), status.answered) == (
            role,
            keys,
            reply != b"ERR",
        )
